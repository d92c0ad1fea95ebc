"""The nets of slim. Start at nets_factory.

slim's modules are served under their names too, so that `from slimtune.nets import vgg` gives `vgg.vgg_16` and
`vgg.vgg_arg_scope`: each is the module here that holds its nets.
"""
import importlib

#: The module here: slim's modules.
_SLIM = {'classic': 'alexnet cifarnet lenet overfeat vgg', 'video': 'i3d s3dg', 'resnet': 'resnet_v1 resnet_v2 resnet_utils',
         'inception': 'inception_v1 inception_v2 inception_v3 inception_v4 inception_resnet_v2 inception_utils',
         'mobilenet': 'mobilenet_v1 mobilenet_v2 mobilenet_v3', 'nasnet': 'pnasnet'}


def __getattr__(name):
    for module, names in _SLIM.items():
        if name in names.split():
            return importlib.import_module('slimtune.nets.' + module)
    raise AttributeError('module slimtune.nets has no attribute %r' % name)
