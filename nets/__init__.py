"""The nets of slim: records.py describes them, nets_factory.py builds them, each family has one module.

slim's modules are served under their names too, so that `from slimtune.nets import vgg` gives `vgg.vgg_16`
and `vgg.vgg_arg_scope`: each is the module here that holds its nets. slim names a module for its net
(inception_v3), or for what the nets in it have in common (resnet_v1 for resnet_v1_50), and what a family
shares FAMILY_utils. Where the functions in it come from: `How a name is resolved` in nets_factory.py.
"""
import importlib


def __getattr__(name):
    """The module of slim's name `name`: that of the first net it belongs to."""
    nets_factory = importlib.import_module('slimtune.nets.nets_factory')
    for net in nets_factory.NETS.values():
        module = nets_factory.module_of(net)
        family = net.name.rpartition('_')[0]
        if name in (net.name, family, module.rpartition('.')[2] + '_utils'):
            return importlib.import_module(module)
    raise AttributeError(f'module slimtune.nets has no attribute {name!r}')
