"""slim's modules, functions and arg scopes by the names that notebooks call them."""
import importlib

import pytest

from slimtune.nets import nets_factory
from slimtune.runtime import slim

# where: (its nets' functions, its arg scopes)
MODULES = {
    'alexnet': (['alexnet_v2'], ['alexnet_v2_arg_scope']),
    'cifarnet': (['cifarnet'], ['cifarnet_arg_scope']),
    'i3d': (['i3d'], []),
    'inception': (
        ['inception_v1', 'inception_v2', 'inception_v3', 'inception_v4', 'inception_resnet_v2'],
        ['inception_v1_arg_scope', 'inception_v2_arg_scope', 'inception_v3_arg_scope',
         'inception_v4_arg_scope', 'inception_resnet_v2_arg_scope']),
    'inception_v1': (['inception_v1'], ['inception_v1_arg_scope']),
    'inception_v2': (['inception_v2'], ['inception_v2_arg_scope']),
    'inception_v3': (['inception_v3'], ['inception_v3_arg_scope']),
    'inception_v4': (['inception_v4'], ['inception_v4_arg_scope']),
    'inception_resnet_v2': (['inception_resnet_v2'], ['inception_resnet_v2_arg_scope']),
    'inception_utils': ([], ['inception_arg_scope']),
    'lenet': (['lenet'], ['lenet_arg_scope']),
    'mobilenet_v1': (['mobilenet_v1', 'mobilenet_v1_075', 'mobilenet_v1_050', 'mobilenet_v1_025'],
                     ['mobilenet_v1_arg_scope']),
    'mobilenet.mobilenet_v2': (['mobilenet_v2_140', 'mobilenet_v2_050', 'mobilenet_v2_035'],
                               ['training_scope']),
    'mobilenet.mobilenet_v3': ([], ['training_scope']),
    'nasnet.nasnet': (['build_nasnet_cifar', 'build_nasnet_mobile', 'build_nasnet_large'],
                      ['nasnet_cifar_arg_scope', 'nasnet_mobile_arg_scope', 'nasnet_large_arg_scope']),
    'nasnet.pnasnet': (['build_pnasnet_mobile', 'build_pnasnet_large'],
                       ['pnasnet_mobile_arg_scope', 'pnasnet_large_arg_scope']),
    'overfeat': (['overfeat'], ['overfeat_arg_scope']),
    'resnet_utils': ([], ['resnet_arg_scope']),
    'resnet_v1': (['resnet_v1_50', 'resnet_v1_101', 'resnet_v1_152', 'resnet_v1_200'], ['resnet_arg_scope']),
    'resnet_v2': (['resnet_v2_50', 'resnet_v2_101', 'resnet_v2_152', 'resnet_v2_200'], ['resnet_arg_scope']),
    's3dg': (['s3dg'], ['s3dg_arg_scope']),
    'vgg': (['vgg_a', 'vgg_16', 'vgg_19'], ['vgg_arg_scope']),
}


def module(name):
    """What `from slimtune.nets import A`, or `from slimtune.nets.A import B`, gives."""
    package, _, name = ('slimtune.nets.' + name).rpartition('.')
    return getattr(importlib.import_module(package), name)


@pytest.mark.parametrize('name', MODULES)
def test_slims_module_has_its_functions_and_arg_scopes(name):
    functions, scopes = MODULES[name]
    for function in functions:
        net = nets_factory.NETS[function.replace('build_', '')]
        assert getattr(module(name), function).default_image_size == net.image_size
    for scope in scopes:
        with slim.arg_scope(getattr(module(name), scope)(weight_decay=0.001)) as arguments:
            assert arguments


def test_every_net_has_a_module_of_slims():
    named = {function.replace('build_', '') for functions, _ in MODULES.values() for function in functions}
    # mobilenet_v2 is mobilenet_v2.mobilenet, and v3 and EdgeTPU are made by name
    by_name = ('mobilenet_v3', 'mobilenet_edgetpu')
    assert {net for net in set(nets_factory.NETS) - named if not net.startswith(by_name)} == {'mobilenet_v2'}
