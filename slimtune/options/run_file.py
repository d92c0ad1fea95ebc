"""run.json: what `train` was told, so that eval, export and predict need not be told again."""
import dataclasses
import json
import os

from slimtune.errors import UserError


def save_run(folder, groups, **facts):
    """Writes FOLDER/run.json: the options of the dataclasses in `groups`, and facts such as classes and image size."""
    from slimtune.storage.atomic import write_text
    options = {}
    for group in groups:
        options.update(dataclasses.asdict(group))
    write_text(os.path.join(folder, 'run.json'),
               json.dumps(dict(facts, options=options), indent=1, ensure_ascii=False, sort_keys=True) + '\n')


def load_run(path):
    """What run.json beside the checkpoint says ({} without one): {'options': {...}, 'classes': [...], ...}.

    path: a train folder, or any file of a checkpoint in it. Raises UserError where the file is damaged.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    name = os.path.join(folder, 'run.json')
    if not os.path.isfile(name):
        return {}
    try:
        with open(name, encoding='utf-8') as f:
            run = json.load(f)
        run['options'].items()
        return run
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise UserError('%s is damaged (%s): remove it and give the flags again' % (name, e))
