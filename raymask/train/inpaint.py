"""`raymask.train.staged.inpainter` under its first name, by which the README sent readers to it."""

from raymask.train.staged.inpainter import PICTURES, InpainterCourse, Inputs, teachers_of, train_inpainter

__all__ = ["PICTURES", "InpainterCourse", "Inputs", "teachers_of", "train_inpainter"]
