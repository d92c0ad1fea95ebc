"""The nets of slim. Start at nets_factory.

slim's modules are served under their names too, so that `from slimtune.nets import vgg` gives `vgg.vgg_16` and
`vgg.vgg_arg_scope`: each is the module here that holds its nets.
"""
import importlib

#: slim's module: the one here
_SLIM = {
    'alexnet': 'classic', 'cifarnet': 'classic', 'lenet': 'classic', 'overfeat': 'classic', 'vgg': 'classic',
    'inception_v1': 'inception', 'inception_v2': 'inception', 'inception_v3': 'inception', 'inception_v4': 'inception',
    'inception_resnet_v2': 'inception', 'inception_utils': 'inception', 'i3d': 'video', 's3dg': 'video',
    'resnet_v1': 'resnet', 'resnet_v2': 'resnet', 'resnet_utils': 'resnet', 'mobilenet_v1': 'mobilenet',
    'mobilenet_v2': 'mobilenet', 'mobilenet_v3': 'mobilenet', 'pnasnet': 'nasnet',
}


def __getattr__(name):
    if name in _SLIM:
        return importlib.import_module('slimtune.nets.' + _SLIM[name])
    raise AttributeError('module slimtune.nets has no attribute %r' % name)
