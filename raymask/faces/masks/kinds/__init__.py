"""The kinds of things that can be before a face: one object each, in `registry`. They import without OpenCV."""
