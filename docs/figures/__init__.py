"""The figures of the documentation, drawn by code.

python -m docs.figures          the diagrams of the concepts, a second
python -m docs.figures.front    the picture of the README, some minutes on one core
"""
