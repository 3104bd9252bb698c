"""The gallery: who is enrolled, kept on disk and searched. No serving, no training.

`store` is the one writer's side, `reader` the searchers' side; both see nothing of each other but the folder.
"""
