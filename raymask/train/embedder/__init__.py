"""The training of MaskFaceNet, and what is done to it afterwards."""
