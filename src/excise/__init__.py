"""excise: put a concept where you can find it, cut it out, prove it is gone.

Everything public is here and is imported when it is first used, so that the command line answers at once.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
