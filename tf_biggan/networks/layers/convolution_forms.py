"""Which of several exact forms a convolution is computed in, by device and size.

`benchmarks/convolution_forms.py` measures all forms and prints the fastest of every row.
"""

from __future__ import annotations

# Kinds of devices: (what is convolved, what the result is for) to rows of (smallest side, form), of
# which the first that fits counts. The side is that of the smaller map, in pixels.
# The rows of the CPU were measured in float32 on two idle cores of an Intel Xeon with AVX-512. Maps
# of side 16 stay with phases, although the transposed form is up to a tenth faster there: with AVX2
# alone it takes twice the time. Nobody has measured GPUs and TPUs, which compute every convolution
# as it is written.
FORMS = {
    "CPU": {
        ("convolution", "forward"): ((1, "direct"),),
        ("convolution", "input_gradient"): ((1, "direct"),),
        ("convolution", "kernel_gradient"): ((1, "library"),),
        ("upsampled", "forward"): ((32, "transposed_4x4"), (4, "phases"), (1, "doubled")),
        ("upsampled", "input_gradient"): ((32, "transposed_4x4"), (4, "phases"), (1, "doubled")),
        ("upsampled", "kernel_gradient"): ((8, "strided_4x4"), (1, "doubled")),
        ("pooled", "forward"): ((1, "strided_4x4"),),
        ("pooled", "input_gradient"): ((4, "strided_4x4"), (1, "mean")),
    },
    "GPU": {
        ("convolution", "forward"): ((1, "direct"),),
        ("convolution", "input_gradient"): ((1, "transposed"),),
        ("convolution", "kernel_gradient"): ((1, "library"),),
        ("upsampled", "forward"): ((1, "doubled"),),
        ("upsampled", "input_gradient"): ((1, "doubled"),),
        ("upsampled", "kernel_gradient"): ((1, "doubled"),),
        ("pooled", "forward"): ((1, "mean"),),
        ("pooled", "input_gradient"): ((1, "mean"),),
    },
}
FORMS["TPU"] = FORMS["GPU"]


def form_of(device: str, what: str, purpose: str, side: int) -> str:
    """Returns the name of the form in which a convolution is computed.

    Args:
      device: "CPU", "GPU" or "TPU".
      what: "convolution", "upsampled" or "pooled".
      purpose: "forward", "input_gradient" or "kernel_gradient".
      side: Shorter side of the smaller map, in pixels.
    """
    rows = FORMS[device][what, purpose]
    return next(form for smallest, form in rows if side >= smallest)
