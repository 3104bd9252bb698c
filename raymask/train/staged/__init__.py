"""The trainings in stages: segmenter, aligner, inpainter."""
