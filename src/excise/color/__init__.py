"""Colour, the first domain: grids, named colours, concepts, streams and two autoencoders."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
