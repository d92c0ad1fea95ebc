"""Builds the nets of slim by name. Each net is a record in records.py; start there to find or add one.

This module imports neither TensorFlow nor numpy: the module that builds a net is imported when it is built.

How a name is resolved. Nobody wrote `def vgg_16`, and yet `from slimtune.nets import vgg; vgg.vgg_16(images)`
works, as it does in slim:

1. `slimtune.nets.vgg`: nets/__init__.py finds the record that slim's module name belongs to (vgg_16's) and
   gives the module of its builder, classic.py.
2. `vgg.vgg_16`: classic.py defines no such name, so Python calls the module's `__getattr__`, which is
   `slims_names_of` below: it gives networks_map['vgg_16'].
3. networks_map['vgg_16'] calls classic.build with the record's own arguments: its table ('vgg_16') and scope.

`vgg.vgg_arg_scope` is an ordinary function of classic.py; `inception.inception_v3_base` is the module's
`base` with the record's arguments.
"""
import importlib
import re

from slimtune.errors import UserError, nearest
from slimtune.nets.records import RECORDS, Net

__all__ = ['NETS', 'Net', 'arg_scopes_map', 'check_image_size', 'get_net', 'get_network_fn', 'networks_map',
           'register', 'slims_names_of']

#: name: record, in slim's order.
NETS = {}
#: As in slim: name -> function (images, num_classes, is_training, ...) -> logits, end_points.
networks_map = {}
#: As in slim: name -> function (weight_decay=...) -> arg scope.
arg_scopes_map = {}


def register(net):
    """Makes a net buildable by name. net: a record. Raises ValueError where the name is taken."""
    if net.name in NETS:
        raise ValueError(f'there is a net {net.name} already')
    NETS[net.name] = net
    networks_map[net.name] = _function(net, net.builder.split(':')[1], scope=net.scope, **net.arguments)
    arg_scopes_map[net.name] = _function(net, net.arg_scope, net=net)


def get_net(name):
    """The record of the net `name`; UserError with the nearest names if there is none."""
    if name not in NETS:
        names = nearest(name, NETS)
        hint = f"nearest are {', '.join(names)}; " if names else ''
        raise UserError(f'unknown net {name!r}: {hint}`slimtune nets` lists all {len(NETS)}')
    return NETS[name]


def check_image_size(net, size, single=True):
    """Raises UserError for images that a net cannot take, before anything is built.

    net: a record. size: the side of the images in pixels. single: whether an image has one row of logits, as
    it must in training; a map of them has no largest image.
    """
    if size < net.smallest or (single and net.largest and size > net.largest):
        sides = f'{net.smallest} to {net.largest}' if net.largest else f'at least {net.smallest}'
        raise UserError(f'{net.name} takes no images of {size}x{size}: '
                        f'image sides of {sides} pixels, usually {net.image_size}')


def _function(record, function_name, **arguments):
    """A function of the net's module as the net's own: with the record's arguments and slim's attributes."""
    def call_function_of_module(*args, **kwargs):
        module = importlib.import_module(module_of(record))
        return getattr(module, function_name)(*args, **dict(arguments, **kwargs))
    function = call_function_of_module
    function.default_image_size, function.net, function.__name__ = record.image_size, record, record.name
    function.__qualname__ = f'{record.name} ({module_of(record)}.{function_name})'
    return function


def module_of(net):
    """The full name of the module that builds a net (a record): 'slimtune.nets.inception'."""
    return 'slimtune.nets.' + net.builder.split(':')[0]


def slims_names_of(module):
    """A module's __getattr__ (PEP 562) for slim's names: vgg_16, vgg_16_arg_scope, inception_v3_base.

    See `How a name is resolved` above. module: its __name__.
    """
    def __getattr__(name):
        # slim calls NASNet's build_nasnet_mobile
        net_name, _, suffix = re.match('(?:build_)?(.*?)(_(arg_scope|base))?$', name).groups()
        net = NETS.get(net_name)
        if net is None or module_of(net) != module:
            raise AttributeError(f'module {module} has no attribute {name!r}')
        if suffix == 'base':
            return _function(net, 'base', scope=net.scope, **net.arguments)
        return (arg_scopes_map if suffix else networks_map)[net_name]
    return __getattr__


for _record in RECORDS:
    register(_record)


def get_network_fn(name, num_classes, weight_decay=0.0, is_training=False, frozen=None, seed=0):
    """slim's get_network_fn, with what slimtune freezes.

    num_classes: None gives features instead of logits. weight_decay: of the L2 regularizer. frozen: None or a
    predicate on a layer's full variable scope, see layers.py. seed: of dropout. Returns network_fn(images,
    **kwargs) -> logits, end_points, with default_image_size and the record as `net`. UserError for an unknown
    name and, when called, for images of a size the net cannot take.
    """
    net = get_net(name)

    def network_fn(images, **kwargs):
        from slimtune.nets import layers
        from slimtune.runtime import slim
        single = num_classes and kwargs.get('spatial_squeeze', True) and not kwargs.get('global_pool')
        for side in images.shape.as_list()[-3:-1]:
            if side is not None:
                check_image_size(net, side, single)
        with slim.arg_scope(arg_scopes_map[name](weight_decay=weight_decay)), \
                slim.arg_scope([layers.batch_norm, layers.dropout], frozen=frozen), \
                slim.arg_scope([layers.dropout], seed=seed):
            return networks_map[name](images, num_classes=num_classes, is_training=is_training, **kwargs)

    network_fn.default_image_size, network_fn.net = net.image_size, net
    return network_fn
