"""Methods ready to run: a solver, its options, and the weights it runs on."""

from idmcli.library.choice import out_of_the_box
from idmcli.library.library import Library
from idmcli.library.method import Method
from idmcli.library.options import check_options, read_options
from idmcli.library.weights import Given, load_network, role_of

__all__ = ["Given", "Library", "Method", "check_options", "load_network", "out_of_the_box", "read_options", "role_of"]
