"""Front ends: each turns a way to write a network down into the layers of `erffast.layers`."""
