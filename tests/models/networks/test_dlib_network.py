"""dlib's convolutions, as bundles hold them."""

import torch
from torch.nn.functional import conv2d

from raymask.models.networks.dlib_network import _Convolution


def test_weights_of_earlier_bundles_make_the_same():
    """They have an affine layer where there is a normalisation now."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 3, 3, 3, generator=generator)
    bias, scale, shift = torch.randn(3, 8, generator=generator)
    names = ("convolution.weight", "convolution.bias", "scale", "shift")
    earlier = dict(zip((f"0.{name}" for name in names), (weight, bias, scale, shift), strict=True))
    network = torch.nn.Sequential(_Convolution(3, 8, 3, stride=1)).eval()
    network.load_state_dict(earlier)
    faces = torch.randn(2, 3, 9, 9, generator=generator)
    wanted = conv2d(faces, weight, bias, padding=1) * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(faces), wanted, rtol=1e-4, atol=1e-4)
    assert sorted(earlier) == sorted(f"0.{name}" for name in names)
