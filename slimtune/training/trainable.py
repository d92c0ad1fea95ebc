"""Which variables are trained, and which layers are frozen."""
import re

from slimtune.errors import UserError, nearest
from slimtune.runtime import slim, tf


def trainable_scopes(net, text):
    """The scopes of --trainable-scopes: a list, [] for everything.

    text: scopes, comma-separated. Each is a regular expression matched from the start, as slim matches them; `head` stands
    for the net's head and `all` for everything. Raises UserError for what is no regular expression.
    """
    words = text.split(',') if text else ['all']
    if 'all' in words:
        return []
    scopes = []
    for word in words:
        scopes += net.head if word == 'head' else [word]
    for scope in scopes:
        try:
            re.compile(scope)
        except re.error as e:
            raise UserError(f'--trainable-scopes {scope} is no regular expression: {e}')
    return scopes


def frozen_by(scopes):
    """The predicate that nets_factory asks about a layer's scope: a layer is frozen that no trainable scope matches.

    None where nothing is frozen.
    """
    if not scopes:
        return None
    return lambda name: not any(re.match(scope, name + '/') for scope in scopes)


def variables_to_train(scopes):
    """The trainable variables of the scopes, each once. Raises UserError for a scope that matches none, with the nearest."""
    everything = tf.trainable_variables()
    if not scopes:
        return everything
    chosen = set()
    for scope in scopes:
        matches = {v.op.name for v in everything if re.match(scope, v.op.name)}
        if not matches:
            raise UserError(f'no trainable variable in scope {scope}{did_you_mean(scope, everything)}')
        chosen |= matches
    return [v for v in everything if v.op.name in chosen]


def moving_statistics(frozen):
    """The stored statistics of the batch norm layers that are not frozen. frozen: a predicate on layers, or None."""
    statistics = [v for v in slim.get_model_variables() if v.op.name.endswith(('/moving_mean', '/moving_variance'))]
    return [v for v in statistics if not (frozen and frozen(v.op.name.rpartition('/')[0]))]


def did_you_mean(scope, variables):
    """': did you mean A, B or C?' for a scope that matches none of the variables."""
    parts = [v.op.name.split('/') for v in variables]
    prefixes = {'/'.join(part[:depth]) for part in parts for depth in range(1, len(part))}
    near = nearest(scope, prefixes)
    if near:
        return f': did you mean {" or ".join(near)}?'
    return f', they begin with {", ".join(sorted({part[0] for part in parts}))}'
