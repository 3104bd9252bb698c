import cv2
import numpy as np
import pytest
import torch
from torch import nn

from raymask.errors import ConfigError
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet


@pytest.mark.parametrize(
    ("backbone", "channels"), [("resnet50", 2048), ("resnet18", 512), ("resnet34", 512), ("vgg16", 512)]
)
def test_the_head_is_table_1_layer_by_layer(backbone, channels):
    model = MaskFaceNet(MaskFaceNetConfig(backbone=backbone))
    dropout, pool, flatten, linear, norm = model.head
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.6
    assert isinstance(pool, nn.AdaptiveAvgPool2d)
    assert pool.output_size == (1, 1)
    assert isinstance(flatten, nn.Flatten)
    assert isinstance(linear, nn.Linear)
    assert (linear.in_features, linear.out_features) == (channels, 512)
    assert linear.bias is not None
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_features == 512
    names = [name for name, _ in model.named_modules()]
    assert not any(name.endswith((".fc", ".avgpool", ".classifier")) for name in names)


@pytest.mark.parametrize("backbone", ["resnet18", "vgg16"])
def test_crops_become_embeddings(backbone):
    model = MaskFaceNet(MaskFaceNetConfig(backbone=backbone, input_size=64)).eval()
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    embeddings = model(crops)
    assert embeddings.shape == (3, 512)
    assert torch.isfinite(embeddings).all()
    assert not torch.allclose(embeddings[0], embeddings[1])


@pytest.mark.parametrize(("head", "parts"), [("table1", 1), ("linear", 2)])
def test_in_use_a_mirrored_network_sees_a_face_and_its_mirror_image_alike(head, parts):
    model = MaskFaceNet(
        MaskFaceNetConfig(
            backbone="resnet18", input_size=64, embedding_size=32, mirrored=True, head=head, parts=parts, dropout=0
        )
    )
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    model.eval()
    torch.testing.assert_close(model(crops), model(crops.flip(3)), rtol=1e-4, atol=1e-5)
    if parts == 2:
        torch.testing.assert_close(model(crops).unflatten(1, (2, 16)).norm(dim=2), torch.ones(3, 2))
    model.train()
    assert not torch.allclose(model(crops), model(crops.flip(3)), rtol=1e-2)


def test_in_use_a_tilted_network_adds_what_it_makes_of_the_face_turned_either_way():
    torch.manual_seed(0)
    settings = {"backbone": "resnet18", "input_size": 64, "embedding_size": 32, "dropout": 0}
    plain, tilted = (MaskFaceNet(MaskFaceNetConfig(**settings, tilted=degrees)).eval() for degrees in (0, 10))
    tilted.load_state_dict(plain.state_dict())
    y, x = np.mgrid[:64, :64]
    smooth = [[127 + 90 * np.sin(x / wide), 127 + 90 * np.cos(y / 7), 2 * (x + y)] for wide in (9, 4)]
    faces = np.array(smooth).transpose(0, 2, 3, 1).astype(np.uint8)
    matrices = [cv2.getRotationMatrix2D((31.5, 31.5), degrees, 1) for degrees in (0, 10, -10)]
    turned = [
        np.stack([cv2.warpAffine(face, matrix, (64, 64), borderMode=cv2.BORDER_REFLECT) for face in faces])
        for matrix in matrices
    ]
    wanted = sum(plain(torch.from_numpy(some).permute(0, 3, 1, 2)) for some in turned)
    both = torch.from_numpy(faces).permute(0, 3, 1, 2)
    away, away_untilted = ((made - wanted).norm(dim=1) for made in (tilted(both), 3 * plain(both)))
    assert (away < 0.2 * away_untilted).all()
    tilted.train(), plain.train()
    torch.testing.assert_close(tilted(both), plain(both))


def test_the_backbone_is_torchvisions_own():
    import torchvision

    model = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18"))
    reference = torchvision.models.resnet18(weights=None)
    model.backbone.load_state_dict({k: v for k, v in reference.state_dict().items() if not k.startswith("fc.")})
    model.eval(), reference.eval()
    reference.fc = nn.Identity()
    crops = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    scaled = (crops / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    torch.testing.assert_close(model.head[:3](model.backbone(scaled)), reference(scaled))
    torch.testing.assert_close(model(crops), model.head[3:](reference(scaled)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "resnet19"}, "backbone 'resnet19' is unknown; the nearest are resnet18"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"tilted": 90}, "tilted must be"),
        ({"backbone": "facenet", "input_size": 64}, "input_size must be 75 or more for facenet"),
        ({"backbone": "dlib", "input_size": 102}, "input_size must be 103 or more for dlib"),
        ({"input_size": 16}, "input_size must be"),
        ({"embedding_size": 0}, "embedding_size must be"),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong, message):
    with pytest.raises(ConfigError, match=message):
        MaskFaceNetConfig(**wrong)
