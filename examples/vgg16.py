"""VGG-16 up to pool5: what a unit of each stage can see (theory), and what it does see at random initialisation.

Simonyan and Zisserman 2015, configuration D. The theoretical field of pool5 is the published 212 pixels; the effective one is
smaller, and smooth. Max-pools make the result mean-field: the inputs under a window are taken as independent.
"""

import importlib.util

import erffast as ef

STAGES = (
    "(conv3:p1, relu) * 2, maxpool2",
    "(conv3:p1, relu) * 2, maxpool2",
    "(conv3:p1, relu) * 3, maxpool2",
    "(conv3:p1, relu) * 3, maxpool2",
    "(conv3:p1, relu) * 3, maxpool2",
)

print("input pixels, on the unbounded plane")
print("unit    jump  field     std  level size  of the root  level size / field")
results = []
for stage in range(1, len(STAGES) + 1):
    erf = ef.variance(ef.parse(", ".join(STAGES[:stage])))
    results.append(erf)
    field = erf.receptive_field
    print(
        f"pool{stage}  {field.jump[0]:5d}  {field.size[0]:5d}  {erf.std()[0]:6.2f}  {erf.level_size():10.1f}"
        f"  {erf.amplitude().level_size():11.1f}  {erf.ratio():18.3f}"
    )

# Near the border of a real map the unit sees less, and part of the mass leaves through the padding.
net = ef.parse(", ".join(STAGES))
print("\npool5 on a map of 224 x 224 (output 7 x 7)")
print("unit      border  mean (row, column)      std")
for unit in ((3, 3), (0, 3), (0, 0)):
    erf = ef.variance(net, input_size=224, unit=unit)
    mean, std = erf.mean(), erf.std()
    print(f"{unit!s}  {erf.border:6.3f}  ({mean[0]:6.1f}, {mean[1]:6.1f})  ({std[0]:.1f}, {std[1]:.1f})")

if importlib.util.find_spec("matplotlib"):
    ef.compare(results, [f"pool{stage}" for stage in range(1, len(STAGES) + 1)]).savefig("vgg16.png")
    print("\nwrote vgg16.png")
