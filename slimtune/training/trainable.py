"""Which variables are trained, and which layers are frozen."""
import re

from slimtune.errors import UserError
from slimtune.runtime import tf


def trainable_scopes(net, text):
    """The scopes that --trainable-scopes means: [] for everything. `head` and `all` are understood.

    UserError for what is no regular expression.
    """
    if text in (None, '', 'all'):
        return []
    scopes = list(net.head) if text == 'head' else text.split(',')
    for scope in scopes:
        try:
            re.compile(scope)
        except re.error as e:
            raise UserError('--trainable-scopes %s is no regular expression: %s' % (scope, e))
    return scopes


def frozen_by(scopes):
    """The predicate that nets_factory asks of a layer's scope: frozen is what no trainable scope matches.

    Scopes are regular expressions matched from the start, as slim's collections match them.
    """
    if not scopes:
        return None
    return lambda name: not any(re.match(scope, name + '/') for scope in scopes)


def variables_to_train(scopes):
    """The trainable variables of the scopes, each once. UserError names a scope that matches none, and the nearest."""
    everything = tf.trainable_variables()
    if not scopes:
        return everything
    chosen = []
    for scope in scopes:
        matches = [v for v in everything if re.match(scope, v.op.name)]
        if not matches:
            raise UserError('no trainable variable in scope %s%s' % (scope, did_you_mean(scope, everything)))
        chosen += matches
    return [v for v in everything if v in set(chosen)]


def did_you_mean(scope, variables):
    """': did you mean A, B or C?' for a scope that matches none of the variables."""
    from slimtune.errors import nearest
    parts = [v.op.name.split('/') for v in variables]
    prefixes = {'/'.join(p[:depth]) for p in parts for depth in range(1, len(p))}
    near = nearest(scope, prefixes)
    return ': did you mean %s?' % ' or '.join(near) if near else ', they begin with %s' % ', '.join(sorted({p[0] for p in parts}))
