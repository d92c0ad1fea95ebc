"""The nets of slim. Start at nets_factory.

slim's modules are served under their names too, so that `from slimtune.nets import vgg` gives `vgg.vgg_16` and
`vgg.vgg_arg_scope`: each is the module here that holds its nets. slim names a module for its net, or for what the nets
in it have in common (resnet_v1 for resnet_v1_50), and what a family shares FAMILY_utils.
"""
import importlib


def __getattr__(name):
    for net in importlib.import_module('slimtune.nets.nets_factory').NETS.values():
        module = net.builder.split(':')[0]
        if name in (net.name, net.name.rpartition('_')[0], module + '_utils'):
            return importlib.import_module('slimtune.nets.' + module)
    raise AttributeError('module slimtune.nets has no attribute %r' % name)
