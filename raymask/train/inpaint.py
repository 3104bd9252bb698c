"""`raymask.train.staged.inpainter` under its first name, by which the README sent readers to it."""

from raymask.train.staged.inpainter import InpainterCourse, Inputs, teachers_of, train_inpainter
from raymask.train.staged.loop import PICTURES

__all__ = ["PICTURES", "InpainterCourse", "Inputs", "teachers_of", "train_inpainter"]
