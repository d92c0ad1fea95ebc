"""An export that was damaged on its way, or replaced while it was used."""
import json
import os
import shutil

import pytest

from slimtune.inference import engines, export_folder

needs_openvino = pytest.mark.skipif(engines.openvino() is None, reason='OpenVINO is not installed')


@pytest.fixture
def copied(exported, tmp_path):
    """A copy of the export, in the test's own folder."""
    shutil.copytree(str(exported), str(tmp_path / 'copied'))
    return tmp_path / 'copied'


@pytest.fixture
def image(digits):
    """The path of one digit."""
    return sorted((digits / 'two').iterdir())[0]


def damage(path, how):
    """A bit flipped in the middle, the second half cut off, or the file gone."""
    data = path.read_bytes()
    if how == 'missing':
        path.unlink()
    elif how == 'cut':
        path.write_bytes(data[:len(data) // 2])
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:])


def change(folder, **values):
    """Other values in model.json; None removes a key."""
    path = folder / 'model.json'
    content = dict(json.loads(path.read_text(encoding='utf-8')), **values)
    content = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(content), encoding='utf-8')


@needs_openvino
@pytest.mark.parametrize('how', ['flipped', 'cut', 'missing'])
@pytest.mark.parametrize('name', ['model.xml', 'model.bin'])
def test_where_openvinos_files_are_damaged_the_whole_frozen_graph_is_used(name, how, copied, image, here):
    expected = here('predict', copied, image)
    damage(copied / name, how)
    printed = here('predict', copied, image)
    assert printed.startswith(expected)
    if (name, how) != ('model.xml', 'missing'):
        state = 'missing' if how == 'missing' else 'damaged'
        assert f'{name} is {state}: export again. Using frozen.pb' in printed
    assert here('predict', copied, image, '--engine', 'tensorflow') == expected


@pytest.mark.parametrize('how', ['flipped', 'cut', 'missing'])
def test_a_damaged_frozen_graph_is_refused_or_openvinos_files_used(how, copied, image, here, monkeypatch):
    expected = here('predict', copied, image)
    damage(copied / 'frozen.pb', how)
    assert 'frozen.pb is ' in here('predict', copied, image, '--engine', 'tensorflow', code=1)
    if engines.openvino():
        assert here('predict', copied, image) == expected
        # Where auto would take TensorFlow:
        monkeypatch.setattr(engines, 'gpu_for_tensorflow', lambda: True)
        monkeypatch.setattr('slimtune.inference.agreement.MEASURED_ON', 1)
        printed = here('predict', copied, image)
        assert 'Using openvino float32 instead' in printed and printed.startswith(expected)


def test_where_all_files_are_damaged_it_is_one_line(copied, image, here):
    for name in ('frozen.pb', 'model.xml'):
        if (copied / name).exists():
            damage(copied / name, 'flipped')
    assert 'frozen.pb is damaged: export again' in here('predict', copied, image, code=1)


@pytest.mark.parametrize('name', ['frozen.pb', 'model.xml', 'model.bin'])
@pytest.mark.parametrize('how', ['flipped', 'cut'])
def test_an_export_of_before_without_checksums_ends_in_a_line_too(how, name, copied, image, here, capfd):
    from slimtune import cli
    change(copied, files=None)
    if not (copied / name).exists():
        pytest.skip('OpenVINO is not installed')
    damage(copied / name, how)
    engine = 'tensorflow' if name == 'frozen.pb' else 'auto'
    ended = cli.main(['predict', str(copied), str(image), '--engine', engine])
    assert ended in (0, 1) and 'Traceback' not in capfd.readouterr().err


@pytest.mark.parametrize('key, value, message', [
    ('image_size', '28', 'image_size is "28", expected a whole number'),
    ('image_size', 0, 'image_size is 0, expected 1 to 10000'),
    ('image_size', 10 ** 9, 'expected 1 to 10000'),
    ('channels', 2, 'channels is 2, expected 1 or 3'),
    ('channels', True, 'channels is true, expected a whole number'),
    ('classes', 'abc', 'classes is "abc", expected a list'),
    ('classes', ['a', 2, 'c'], 'classes[1] is 2, expected a text'),
    ('classes', [], 'classes is [], expected at least one'),
    ('preprocessing', None, 'preprocessing is missing'),
    ('preprocessing', 'nosuchstyle', 'no preprocessing is called nosuchstyle'),
    ('dct_method', 'SLOW', "dct_method is 'SLOW', expected INTEGER_ACCURATE or INTEGER_FAST"),
    ('files', ['frozen.pb'], 'files is ["frozen.pb"], expected an object'),
    ('files', {'frozen.pb': 7}, 'files.frozen.pb is 7, expected a text')])
def test_a_value_of_another_type_in_model_json_is_named(key, value, message, copied, image, here):
    change(copied, **{key: value})
    assert message in here('predict', copied, image, code=1)


def test_fields_of_a_later_version_and_wrong_measurements_change_nothing(copied, image, here):
    """What the maker measured is for information only."""
    expected = here('predict', copied, image)
    change(copied, invented={'a': 1}, agreement={'openvino float32': {'error': 'x'}, 'openvino bfloat16': 3})
    assert here('predict', copied, image) == expected


def test_every_file_of_an_export_is_listed_with_its_checksum(exported):
    import hashlib
    listed = json.loads((exported / 'model.json').read_text(encoding='utf-8'))['files']
    present = {path.relative_to(exported).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
               for path in exported.rglob('*') if path.is_file() and path.name != 'model.json'}
    assert listed == present and 'saved_model/saved_model.pb' in listed


# One folder in the place of another

@pytest.fixture
def two(tmp_path):
    """An old and a new export: folders with one file each."""
    for name in ('net', 'new'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'model.json').write_text(name)
    return tmp_path


class Killed(BaseException):
    """Stands for SIGKILL."""


def killed_at(step, monkeypatch, action):
    """Runs `action`, which is killed before its system call number `step` that renames or removes; False if
    it ended."""
    calls = []

    def counted(real):
        def call(*arguments, **options):
            calls.append(real)
            if len(calls) > step:
                raise Killed()
            return real(*arguments, **options)
        return call
    with monkeypatch.context() as patch:
        for module, name in ((os, 'rename'), (os, 'remove'), (os, 'unlink'), (os, 'rmdir')):
            patch.setattr(module, name, counted(getattr(module, name)))
        try:
            action()
        except Killed:
            return True
    return False


@pytest.mark.parametrize('step', range(8))
def test_a_replacement_killed_at_any_step_leaves_a_whole_export(step, two, monkeypatch):
    net, new = str(two / 'net'), str(two / 'new')
    killed_at(step, monkeypatch, lambda: export_folder.replace(new, net))
    assert export_folder.is_export(net)
    assert (two / 'net' / 'model.json').read_text() in ('net', 'new')
    assert not (two / '.net.slimtune-old').exists()


@pytest.mark.parametrize('step', range(8))
def test_the_next_export_after_a_kill_loses_neither(step, two, monkeypatch):
    net, new = str(two / 'net'), str(two / 'new')
    killed_at(step, monkeypatch, lambda: export_folder.replace(new, net))
    (two / 'third').mkdir()
    (two / 'third' / 'model.json').write_text('third')
    for again in range(3):      # killed there too
        killed_at(again, monkeypatch, lambda: export_folder.replace(str(two / 'third'), net))
        whole = [path for path in (two / 'net', two / '.net.slimtune-old') if (path / 'model.json').exists()]
        assert whole, 'the only export was removed'
    if (two / 'third').exists():
        export_folder.replace(str(two / 'third'), net)
    assert export_folder.is_export(net) and not (two / '.net.slimtune-old').exists()
    assert (two / 'net' / 'model.json').read_text() == 'third'


def test_two_exports_to_one_folder_the_second_is_told(tmp_path):
    from slimtune.errors import UserError
    folder = str(tmp_path / 'net')
    told = pytest.raises(UserError, match='another command is exporting to .*net: wait for it to end')
    with export_folder.stage(folder), told:
        export_folder.stage(folder).__enter__()
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('name', ['.net.slimtune-part', '.net.slimtune-old', 'net'])
def test_a_link_in_a_received_folder_leads_to_nothing_of_the_users(name, two):
    """Where an export puts its files may be a link to the user's own folder, which is neither emptied nor
    replaced."""
    (two / 'mine').mkdir()
    (two / 'mine' / 'thesis.txt').write_text('mine')
    if name == 'net':
        shutil.rmtree(str(two / 'net'))
    (two / name).symlink_to(two / 'mine')
    with export_folder.stage(str(two / 'net')) as beside:
        (two / 'new' / 'model.json').rename(os.path.join(beside, 'model.json'))
        export_folder.replace(beside, str(two / 'net'))
    assert [path.read_text() for path in (two / 'mine').iterdir()] == ['mine']
    assert (two / 'net' / 'model.json').read_text() == 'new' and not (two / 'net').is_symlink()
