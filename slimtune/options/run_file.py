"""run.json: the options and classes of a training, which eval, export and predict read."""
import dataclasses
import json
import os
from typing import Dict, List, Optional

from slimtune.errors import UserError
from slimtune.options import groups
from slimtune.options.fields import expectation, fits

NAME = 'run.json'
_REMEDY = 'remove the file and type its options on the command line'


@dataclasses.dataclass(frozen=True)
class RunFile:
    """What a run.json holds. `RunFile({})` stands for a folder without one.

    options: {option: value} of the training, without those that were None. classes: their names, by label.
    image_size: side of the net's input in pixels. channels: of the net's input, 1 or 3. seed: of the
    training. path: the file, None where there is none.
    """
    options: Dict[str, object]
    classes: Optional[List[str]] = None
    image_size: Optional[int] = None
    channels: Optional[int] = None
    seed: Optional[int] = None
    path: Optional[str] = None

    def trained_split(self, data):
        """The split that was trained on, where `data`, a groups.Data, is the same data set; else None."""
        folder, name = self.options.get('dataset_dir'), self.options.get('dataset_name')
        if not folder or not data.dataset_dir or name != data.dataset_name:
            return None
        same = os.path.realpath(folder) == os.path.realpath(data.dataset_dir)
        return self.options.get('dataset_split_name') if same else None


def save_run(folder, option_groups, **metadata):
    """Writes FOLDER/run.json. option_groups: instances of groups.SAVED. metadata: RunFile's other fields."""
    from slimtune.storage.atomic import write_text
    options = {}
    for group in option_groups:
        options.update(dataclasses.asdict(group))
    content = json.dumps(dict(metadata, options=options), indent=1, ensure_ascii=False, sort_keys=True)
    write_text(os.path.join(folder, NAME), content + '\n')


def load_run(path):
    """The RunFile beside a checkpoint. path: a train folder, or any file of a checkpoint in it.

    Raises UserError where a value has another type than expected, or lies outside its option's range: it
    names file, key, value and expectation.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    name = os.path.join(folder, NAME)
    if not os.path.isfile(name):
        return RunFile({})
    from slimtune.storage import json_file
    run = json_file.read(RunFile, name, _REMEDY)
    options = {key: value for key, value in run.options.items() if value is not None}
    known = {field.name: field for group in groups.SAVED for field in dataclasses.fields(group)}
    checks = [(f'options.{key}', known[key], value) for key, value in options.items() if key in known]
    checks += [('image_size', known['train_image_size'], run.image_size), ('seed', known['seed'], run.seed)]
    for key, field, value in checks:
        if value is not None and not fits(field, value):
            shown = json.dumps(value, ensure_ascii=False)
            raise UserError(f'{name}: {key} is {shown}, expected {expectation(field)}: {_REMEDY}')
    if run.channels not in (None, 1, 3):
        raise UserError(f'{name}: channels is {run.channels}, expected 1 or 3: {_REMEDY}')
    return dataclasses.replace(run, options=options, path=name)
