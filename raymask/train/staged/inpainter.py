"""Training the inpainter: EdgeConnect's four stages (§4), with an identity term.

Where EdgeConnect's losses look at the whole painted face, ours look at the filled one, whose known pixels are the
photo's: that is what is used, and a seam should cost. The edge generator is also told, by cross-entropy, where the true
edges lie: the adversarial game alone takes far longer to come to lines that mean something. The image generator is told
how neighbouring pixels differ: else a pattern of single pixels stays for as long.

Shapes: B faces, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torchvision.transforms.functional import gaussian_blur

from raymask.data.augment.redraw import Drawn, Redraw
from raymask.data.prepare.textures import load_textures
from raymask.data.reading.crops import Crops
from raymask.faces.edges import draw_edges, grey
from raymask.losses.adversarial import adversarial_loss, discriminator_loss, feature_matching_loss
from raymask.losses.identity import identity_loss
from raymask.losses.image_gradient import image_gradient_loss
from raymask.losses.perceptual import perceptual_loss, style_loss
from raymask.models.bundle import bundle_config
from raymask.models.digest import weights_digest
from raymask.models.networks.edgeconnect import Discriminator
from raymask.models.networks.inpainter import Inpainter
from raymask.models.networks.perceptual import Vgg19, load_perceptual
from raymask.models.teacher import load_teacher
from raymask.storage import absolute
from raymask.train.engine.checkpoints import State
from raymask.train.engine.distributed import all_sum, on_all_ranks, sum_gradients
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.schedules import cosine_to
from raymask.train.staged.drawn_batches import DrawnBatch, FreshlyDrawn
from raymask.train.staged.inpainter_config import InpaintConfig
from raymask.train.staged.loop import Course, Stage, run_course, settings_of, shown_faces, started
from raymask.train.staged.picture_grid import picture_grid

_CHUNK = 20
"""Photos that are measured at a time."""
_WIDEST = 0.03
"""Most that a hole is wider than its mask on each side, as a share of the face: a map that was found is not exact."""
_LEAST_RATE = 0.01
"""Learning rate at a stage's end, as a share of that at its start."""


def train_inpainter(
    config: InpaintConfig, hooks: LoopHooks | None = None, *, resume: State | None = None, device: torch.device
) -> bool:
    """Train an inpainter to its end; as `run_course`.

    Raises ConfigError and ModelError too: start, teacher or perceptual network cannot be had.
    """
    return run_course(InpainterCourse(config, device), hooks or LoopHooks(), resume=resume)


class Inputs(NamedTuple):
    """A batch as the generators take it; all (B, C, S, S), 0 to 1."""

    image: Tensor
    """The bare face."""
    grey: Tensor
    hole: Tensor
    known_edges: Tensor
    """Those outside the hole."""
    edges: Tensor
    """All edges of the bare face."""
    softness: Tensor
    """(B, 1, 1, 1): how blurred the teacher sees the face."""
    seen_points: Tensor
    """(B, 5, 2) pixels: where the teacher takes the face to lie."""


class InpainterCourse(Course):
    """Teaches edges, then the image, then the image on drawn edges, then both."""

    config: InpaintConfig
    makes, teaches, name = Inpainter, "an inpainter", "inpainter"

    def __init__(self, config: InpaintConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.batch, self.measure_every = config.batch, config.measure_every
        self.stages = [Stage(name, steps) for name, steps in config.stages.chosen().items()]
        torch.manual_seed(config.seed)
        self.inpainter = on_all_ranks(lambda: started(Inpainter(config.model), config.start)).to(device)
        self.textures = load_textures(config.textures, quiet=True)
        self.settings = settings_of(config, self.textures) | {"teacher": on_all_ranks(lambda: teachers_of(config))}
        channels = config.model.channels
        self.edge_judge = Discriminator(taken=2, channels=channels).to(device)
        self.image_judge = Discriminator(taken=3, channels=channels).to(device)
        self.networks: Mapping[str, nn.Module] = {
            "inpainter": self.inpainter,
            "edge_judge": self.edge_judge,
            "image_judge": self.image_judge,
        }
        self.teacher = on_all_ranks(lambda: load_teacher(config.teacher).to(device))
        self.perceptual: Vgg19 | None = None
        if config.perceptual != "teacher":
            self.perceptual = on_all_ranks(lambda: load_perceptual().to(device))

    def faces(self, store: Crops, *, quiet: bool) -> FreshlyDrawn:
        """A split's faces in masks, with the holes that these leave and their edges."""
        redraw = Redraw(side=self.config.model.side, looks=self.config.masks, textures=self.textures)
        return FreshlyDrawn(
            store, redraw, seed=self.config.seed, device=self.device, quiet=quiet, more=self._hole_and_edges
        )

    def _hole_and_edges(self, drawn: Drawn, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Each (1, S, S) float32; and how the teacher will look at the face."""
        side = self.config.model.side
        reach = int(rng.integers(0, round(_WIDEST * side) + 1))
        hole = cv2.dilate(drawn.mask_map, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 127
        return {
            "grey": grey(drawn.bare)[None],
            "hole": hole.astype(np.float32)[None],
            "known_edges": draw_edges(drawn.bare, known=~hole)[None],
            "edges": draw_edges(drawn.bare)[None],
            "softness": rng.random((1, 1, 1), dtype=np.float32),
            "seen_points": _moved(drawn.points, side, rng),
        }

    def begin(self, stage: int) -> Mapping[str, torch.optim.Optimizer]:
        """Adam for all that learns in the stage, with EdgeConnect's settings."""
        name, generators = self.stages[stage].name, self.inpainter
        edges: dict[str, nn.Module] = {"edges": generators.edge_generator, "edge_judge": self.edge_judge}
        image: dict[str, nn.Module] = {"image": generators.image_generator, "image_judge": self.image_judge}
        learning = {"edges": edges, "image": image, "drawn": image, "joint": {**edges, **image}}[name]
        for every in self.networks.values():
            every.requires_grad_(False)
        for network in learning.values():
            network.requires_grad_(True)
        self.learning = learning
        self.optimisers = {
            part: torch.optim.Adam(network.parameters(), lr=self.config.learning_rate, betas=(0.0, 0.9))
            for part, network in learning.items()
        }
        return self.optimisers

    def learn(self, stage: int, step: int, batch: DrawnBatch) -> dict[str, Tensor]:
        """One step of the stage's discriminators, then one of its generators."""
        name, steps = self.stages[stage]
        self._set_rates(step, steps)
        given = _inputs(batch)
        self.inpainter.eval()  # spectral normalisation moves with each look in training, of what learns only
        for network in self.learning.values():
            network.train()
        losses: dict[str, Tensor] = {}
        if name in ("edges", "joint"):
            drawn = self.run(self.inpainter.edge_generator, given.grey, given.known_edges, given.hole)
            losses |= self._edge_losses(given, drawn, batch.share)
        elif name == "drawn":
            with torch.no_grad():
                drawn = self.run(self.inpainter.edge_generator, given.grey, given.known_edges, given.hole)
        if name != "edges":
            lead = given.edges if name == "image" else drawn * given.hole + given.known_edges * (1 - given.hole)
            losses |= self._image_losses(given, lead, batch)
        generators = [part for part in self.learning if not part.endswith("judge")]
        for part in generators:
            self.optimisers[part].zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for part in generators:
            sum_gradients(self.learning[part])
            self.optimisers[part].step()
        return {key: value.detach() for key, value in losses.items()}

    def _set_rates(self, step: int, steps: int) -> None:
        rate = self.config.learning_rate * cosine_to(_LEAST_RATE, step, steps)
        for part, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rate / 10 if part.endswith("judge") else rate

    def _judge_learns(self, part: str, real: Tensor, made: Tensor, share: float) -> None:
        judge, optimiser = self.learning[part], self.optimisers[part]
        judge.requires_grad_(True)
        optimiser.zero_grad()
        loss = discriminator_loss(self.run(judge, real)[-1], self.run(judge, made.detach())[-1])
        (loss.mean() * share).backward()
        sum_gradients(judge)
        optimiser.step()
        judge.requires_grad_(False)  # what follows asks it about the generator, which alone learns from that

    def _edge_losses(self, given: Inputs, drawn: Tensor, share: float) -> dict[str, Tensor]:
        """The edge generator's; its discriminator sees the grey face too."""
        weights = self.config.loss
        losses = {"edge_entropy": weights.edge_entropy * _in_hole(_entropy(drawn, given.edges), given.hole)}
        if weights.edge_adversarial or weights.feature_matching:
            real, made = torch.cat([given.grey, given.edges], dim=1), torch.cat([given.grey, drawn], dim=1)
            self._judge_learns("edge_judge", real, made, share)
            judged = self.run(self.edge_judge, made)
            with torch.no_grad():
                judged_real = self.run(self.edge_judge, real)
            losses["edge_adversarial"] = weights.edge_adversarial * adversarial_loss(judged[-1], real=True)
            losses["feature_matching"] = weights.feature_matching * feature_matching_loss(judged, judged_real)
        return {key: value.mean() * share for key, value in losses.items()}

    def _image_losses(self, given: Inputs, lead: Tensor, batch: DrawnBatch) -> dict[str, Tensor]:
        """The image generator's."""
        weights = self.config.loss
        painted = self.run(self.inpainter.image_generator, given.image, lead, given.hole)
        filled = painted * given.hole + given.image * (1 - given.hole)
        losses = {"l1": weights.l1 * _in_hole(l1_loss(painted, given.image, reduction="none"), given.hole)}
        losses["image_gradient"] = weights.image_gradient * image_gradient_loss(filled, given.image, given.hole)
        if weights.adversarial:
            self._judge_learns("image_judge", given.image, filled, batch.share)
            judged = self.run(self.image_judge, filled)[-1]
            losses["adversarial"] = weights.adversarial * adversarial_loss(judged, real=True)
        made = self.teacher(_softened(filled, given.softness), given.seen_points)
        with torch.no_grad():
            real = self.teacher(_softened(given.image, given.softness), given.seen_points)
        losses["identity"] = weights.identity * identity_loss(made.embedding, real.embedding)
        hole = given.hole
        if self.perceptual is None:
            looked = (made.maps, real.maps), (made.maps, real.maps)
            hole = self.teacher.aligned(given.hole, given.seen_points)
        else:
            with torch.no_grad():
                real_maps = self.perceptual(given.image)
            made_maps = self.perceptual(filled)
            looked = (made_maps.content, real_maps.content), (made_maps.style, real_maps.style)
        losses["perceptual"] = weights.perceptual * perceptual_loss(*looked[0])
        losses["style"] = weights.style * style_loss(*looked[1], hole)
        return {key: value.mean() * batch.share for key, value in losses.items()}

    def measured_faces(self, store: Crops) -> FreshlyDrawn:
        """As those that are learned from."""
        return self.faces(store, quiet=True)

    @torch.no_grad()
    def measure(self, stage: int) -> Metrics:
        """Mean distance in the hole of edges and of pixels, 0 to 1; the teacher's cosine similarity to the bare face,
        of the filled and of the masked one. The face is painted as in use, by drawn edges.

        Each rank measures its part of the photos.
        """
        if self.validation is None:
            return {}
        self.inpainter.eval()
        sums = torch.zeros(6, dtype=torch.float64, device=self.device)
        for batch in self.measured_batches(self.validation, at_once=_CHUNK):
            given = _inputs(batch)
            painted, drawn = self.inpainter(given.image, given.grey, given.known_edges, given.hole)
            filled = painted * given.hole + given.image * (1 - given.hole)
            real, made, masked = (
                self.teacher.embed(face, batch.points) for face in (given.image, filled, batch.masked.float() / 255)
            )
            sums[0] += ((drawn - given.edges).abs() * given.hole).sum()
            sums[1] += ((painted - given.image).abs() * given.hole).mean(1).sum()
            sums[2] += given.hole.sum()
            sums[3] += (made * real).sum()
            sums[4] += (masked * real).sum()
            sums[5] += len(real)
        edges, pixels, hole, made_sum, masked_sum, faces = all_sum(sums).tolist()
        return {
            "edge_l1": edges / max(hole, 1),
            "l1": pixels / max(hole, 1),
            "identity": made_sum / max(faces, 1),
            "identity_masked": masked_sum / max(faces, 1),
        }

    @torch.no_grad()
    def pictures(self, stage: int) -> np.ndarray | None:
        """Faces of the validation split: bare, masked, edges, filled."""
        if self.validation is None:
            return None
        self.inpainter.eval()
        batch = shown_faces(self.validation)
        given = _inputs(batch)
        painted, drawn = self.inpainter(given.image, given.grey, given.known_edges, given.hole)
        filled = painted * given.hole + given.image * (1 - given.hole)
        made = [(part * 255).round().to(torch.uint8).expand_as(batch.bare) for part in (drawn, filled)]
        return picture_grid([batch.bare, batch.masked, *made])


def teachers_of(config: InpaintConfig) -> list[str]:
    """SHA-256 of the teacher's weights, and of those that taught the weights it starts with."""
    earlier = bundle_config(absolute(config.start), "Inpainter")["training"] if config.start is not None else {}
    return list(dict.fromkeys([weights_digest(config.teacher), *earlier.get("teachers_sha256", [])]))


def _inputs(batch: DrawnBatch) -> Inputs:
    more = batch.more
    return Inputs(
        batch.bare.float() / 255,
        more["grey"],
        more["hole"],
        more["known_edges"],
        more["edges"],
        more["softness"],
        more["seen_points"],
    )


def _moved(points: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """The five points turned, scaled and shifted a little, as another detector may have found them."""
    turn, scale = rng.normal(0, 0.03), math.exp(rng.normal(0, 0.03))
    rotation = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = points.mean(0)
    shifted = (points - middle) @ rotation.T + middle + rng.normal(0, 0.01 * side, 2)
    return shifted.astype(np.float32)


def _in_hole(values: Tensor, hole: Tensor) -> Tensor:
    """(B, C, S, S) to (B,): the mean over the hole."""
    return (values * hole).mean((1, 2, 3)) / hole.mean((1, 2, 3)).clamp(min=0.01)


def _entropy(drawn: Tensor, edges: Tensor) -> Tensor:
    """Cross-entropy of each pixel's probability; an edge generator that is sure and wrong stays teachable."""
    likely = drawn.clamp(1e-4, 1 - 1e-4)
    return -(edges * likely.log() + (1 - edges) * (1 - likely).log())  # torch's own raises at the first nan


def _softened(face: Tensor, softness: Tensor) -> Tensor:
    """(B, C, S, S) blurred by 1 to 2.5 pixels, as softness (B, 1, 1, 1) goes from 0 to 1.

    A gradient through a network likes fine patterns that mean something to this network alone, and that are lost when
    the face is put back into its photo. Seen soft, here and a little aside, it asks for shapes instead.
    """
    sharper, softer = (gaussian_blur(face, [2 * math.ceil(2 * sigma) + 1] * 2, [sigma] * 2) for sigma in (1.0, 2.5))
    return sharper + softness * (softer - sharper)
