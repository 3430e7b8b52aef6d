"""pnnlab trains physical neural networks: measured forward pass, digital twin backward pass.

This module stays empty on purpose: importing one piece (a driver, the command line) must not import
PyTorch. Enter through the packages: `pnnlab.bench`, `pnnlab.nn`, `pnnlab.training`, ...
"""

__version__ = "0.1.0"
