"""`slimtune predict`: any image, any net folder, the same predictions as eval's."""
import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
CLASSES = ['one', 'two', 'zero']


def predictions_in(printed):
    """{file: {class: probability}} of what --json printed; a bad image's error as text."""
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith('{')]
    return {row['file']: row.get('error') or {
        one['class']: one['probability'] for one in row['predictions']} for row in rows}


def best_of(predictions_csv, folder):
    """{path: (best class, its probability)} of eval's predictions.csv."""
    return {os.path.join(folder, row['file']): (row['prediction'], float(row['probability']))
            for row in csv.DictReader(predictions_csv)}


@pytest.fixture(scope='module')
def digit(digits):
    """One of the digits: a grey Pillow image."""
    return Image.open(str(sorted((digits / 'two').iterdir())[0]))


@pytest.fixture
def predicted(trained, here):
    """predicted(*words): the --json predictions of `slimtune predict` with the trained net."""
    return lambda *words: predictions_in(here('predict', trained / 'pic_lenet', '--json', *words))


def test_every_image_of_a_folder_gets_its_best_classes(trained, digits, slimtune):
    process = slimtune('predict', trained / 'pic_lenet', digits / 'two', '--top-k', 2)
    lines = process.stdout.splitlines()
    files = sorted(str(path) for path in (digits / 'two').iterdir())
    assert lines[0::3] == files
    for line in lines[1::3] + lines[2::3]:
        assert line.split()[0].endswith('%') and line.split()[1] in CLASSES
    assert sum(float(line.split()[0][:-1]) > 50 for line in lines[1::3]) > len(files) / 2


def test_csv_and_json_hold_nothing_but_predictions_in(trained, digits, slimtune, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'no image')
    words = ['predict', trained / 'pic_lenet', digits / 'one', 'broken.png']
    table, lines = slimtune(*words + ['--csv']), slimtune(*words + ['--json'])
    by_json = predictions_in(lines.stdout)
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert list(rows[0]) == ['file', 'prediction_1', 'probability_1', 'prediction_2', 'probability_2',
                             'prediction_3', 'probability_3', 'error']
    assert [row['file'] for row in rows] == list(by_json)
    assert len(rows) == 21 and len(lines.stdout.splitlines()) == 21
    for row in rows[:-1]:
        named = {row[f'prediction_{n}']: float(row[f'probability_{n}']) for n in (1, 2, 3)}
        assert named == pytest.approx(by_json[row['file']], abs=1e-6)
        assert sum(named.values()) == pytest.approx(1, abs=1e-5)
    assert rows[-1]['error'] == by_json['broken.png'] == 'not an image' and rows[-1]['prediction_1'] == ''


def test_the_same_probabilities_as_evals_whatever_predictions_in(trained, exported, here, tmp_path):
    here('eval', trained / 'pic_lenet', '--eval-dir', 'eval')
    with open(str(tmp_path / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        expected = best_of(f, str(trained / 'pic'))
    checkpoint = trained / 'pic_lenet' / 'model.ckpt-60.data-00000-of-00001'
    for net in ([trained / 'pic_lenet'], [exported], [checkpoint],
                ['--checkpoint-path', checkpoint, '--model-name', 'lenet']):
        found = predictions_in(here('predict', '--json', *net + sorted(expected)))
        assert list(found) == sorted(expected)
        for path, (best, probability) in expected.items():
            assert max(found[path], key=found[path].get) == best
            assert found[path][best] == pytest.approx(probability, abs=2e-6)


def test_colour_images_of_any_size_get_the_same_from_eval_export_and_predict(here, tmp_path):
    """mobilenet at 32 pixels: cropped, resized and scaled in TensorFlow by eval and the encoded graph, by
    predict in numpy."""
    rng = np.random.RandomState(0)
    for name, mean in (('red', (200, 40, 40)), ('blue', (40, 40, 200))):
        (tmp_path / 'pic' / name).mkdir(parents=True)
        for n in range(6):
            noise = rng.randint(-40, 40, [rng.randint(20, 90), rng.randint(20, 90), 3]) + mean
            Image.fromarray(np.uint8(np.clip(noise, 0, 255))).save(str(tmp_path / 'pic' / name / f'{n}.jpg'))
    here('train', 'pic', '--model', 'mobilenet_v1_025', '--train-image-size', 32,
         '--max-number-of-steps', 3, '--batch-size', 4, '--train-dir', 'net', '--trainable-scopes', 'all')
    here('eval', 'net', '--dataset-split-name', 'train')
    assert 'largest difference of a probability' in here('export', 'net')
    with open(str(tmp_path / 'net' / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        expected = best_of(f, 'pic')
    for net in ('net', 'net/export'):
        found = predictions_in(here('predict', '--json', net, *sorted(expected)))
        for path, (best, probability) in expected.items():
            assert found[path][best] == pytest.approx(probability, abs=1e-4)


def test_every_format_gives_the_same_prediction(digit, predicted, tmp_path):
    opaque = digit.convert('RGB')
    opaque.putalpha(255)
    wide = Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
    variants = {'grey.png': digit, 'colour.png': digit.convert('RGB'), 'opaque.png': opaque,
                'sixteen.png': wide, 'greyalpha.png': digit.convert('LA'), 'palette.gif': digit,
                'windows.bmp': digit.convert('RGB'),
                'scan.tiff': digit, 'UPPER.PNG': digit, 'wrong_name.jpg': None}
    for name, image in variants.items():
        if image:
            image.save(name if os.path.isabs(name) else str(tmp_path / name))
    shutil.copy(str(tmp_path / 'grey.png'), str(tmp_path / 'wrong_name.jpg'))
    digit.convert('RGB').save(str(tmp_path / 'web.webp'), lossless=True)
    found = predicted(*sorted(variants) + ['web.webp'])
    assert len(found) == 11
    for name, prediction in found.items():
        assert prediction == pytest.approx(found['grey.png'], abs=1e-5), name


def test_lossy_images_get_nearly_the_same_prediction(digit, predicted, tmp_path):
    digit.save(str(tmp_path / 'grey.png'))
    digit.save(str(tmp_path / 'grey.jpg'), quality=95)
    digit.convert('CMYK').save(str(tmp_path / 'print.jpg'), quality=95)
    found = predicted('grey.png', 'grey.jpg', 'print.jpg')
    assert found['grey.jpg'] == pytest.approx(found['grey.png'], abs=0.1)
    assert found['print.jpg'] == pytest.approx(found['grey.png'], abs=0.1)


def test_transparent_is_white_and_a_rotated_photograph_upright(digit, predicted, tmp_path):
    seen = Image.new('L', digit.size, 255)
    seen.paste(digit, (0, 0), digit.point(lambda value: 255 if value > 128 else 0))
    seen.save(str(tmp_path / 'white.png'))
    see_through = digit.convert('RGBA')
    see_through.putalpha(digit.point(lambda value: 255 if value > 128 else 0))
    see_through.save(str(tmp_path / 'transparent.png'))
    digit.save(str(tmp_path / 'upright.png'))
    exif = Image.Exif()
    exif[0x0112] = 6        # to be turned by 90 degrees clockwise
    lying = digit.transpose(Image.Transpose.ROTATE_90)
    lying.save(str(tmp_path / 'phone.png'), exif=exif)
    lying.save(str(tmp_path / 'lying.png'))
    found = predicted('white.png', 'transparent.png', 'upright.png', 'phone.png', 'lying.png')
    assert found['transparent.png'] == pytest.approx(found['white.png'], abs=1e-6)
    assert found['phone.png'] == pytest.approx(found['upright.png'], abs=1e-6)
    assert found['lying.png'] != pytest.approx(found['upright.png'], abs=1e-3)


def test_an_unreadable_image_is_a_line_not_the_end(digit, trained, here, tmp_path):
    digit.save(str(tmp_path / 'good.png'))
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'good.png').read_bytes()[:150])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_bytes(b'no image')
    names = ['cut.png', 'empty.jpg', 'text.jpg', 'good.png']
    printed = here('predict', trained / 'pic_lenet', *names, '--batch-size', 2)
    assert 'cut.png\n  cannot be read: ' in printed
    assert 'empty.jpg\n  cannot be read: empty file' in printed
    assert 'text.jpg\n  cannot be read: not an image' in printed
    assert printed.index('good.png') > printed.index('text.jpg') and printed.count('%  ') == 3


def test_folders_are_walked_without_the_systems_own_files(digit, predicted, tmp_path):
    for name in ('box/a.png', 'box/deep/er/b.png', 'box/.hidden.png', 'box/Thumbs.db', 'box/图片.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        digit.save(str(tmp_path / name), 'PNG')
    (tmp_path / 'nothing').mkdir()
    assert list(predicted('box', 'nothing')) == ['box/a.png', 'box/deep/er/b.png', 'box/图片.png']


def test_a_bare_checkpoint_takes_its_names_from_a_label_file(digit, trained, here, tmp_path):
    digit.save(str(tmp_path / 'a.png'))
    for ending in ('.data-00000-of-00001', '.index'):
        checkpoint = trained / 'pic_lenet' / f'model.ckpt-60{ending}'
        shutil.copy(str(checkpoint), str(tmp_path / f'bare.ckpt{ending}'))
    (tmp_path / 'label.txt').write_text('background\neins\nzwei\nnull\n')
    (tmp_path / 'labels.txt').write_text('1:zwei\n0:eins\n2:null\n')
    words = ['predict', '--json', '--checkpoint_path=bare.ckpt', '--model_name=lenet', 'a.png']
    unnamed = predictions_in(here(*words))['a.png']
    assert set(unnamed) == {'class 0', 'class 1', 'class 2'}
    for more in (['--label_path=label.txt', '--labels_offset=1'], ['--label_path=labels.txt']):
        named = predictions_in(here(*words + more))['a.png']
        assert [named[name] for name in ('eins', 'zwei', 'null')] == [unnamed[f'class {n}'] for n in range(3)]
    assert 'has 3 classes, but the labels name 4' in here(*words + ['--label_path=label.txt'], code=1)


def test_the_best_k_are_named_and_never_more_than_there_are(digit, predicted, tmp_path):
    digit.save(str(tmp_path / 'a.png'))
    three, one = predicted('a.png')['a.png'], predicted('a.png', '--top-k', 1)['a.png']
    assert list(three.values()) == sorted(three.values(), reverse=True) and set(three) == set(CLASSES)
    assert list(one.items()) == list(three.items())[:1]


@pytest.mark.parametrize('words, code, message', [
    ([], 1, 'which net? slimtune predict TRAIN_FOLDER IMAGE'),
    (['NET'], 1, 'which images? slimtune predict'),
    (['NET', 'nowhere.jpg'], 1, 'no file nowhere.jpg'),
    (['nowhere', 'a.png'], 1, 'no checkpoint at nowhere'),
    (['.', 'a.png'], 1, 'no checkpoint in .'),
    (['NET', 'a.png', '--csv', '--json'], 2, '--csv and --json: give one of them'),
    (['EXPORT', 'a.png', '--label-path', 'two.txt'], 1, 'has 3 classes, but two.txt names 2'),
    (['damaged', 'a.png'], 1, 'model.json is damaged'),
    (['cut', 'a.png', '--engine', 'tensorflow'], 1, 'frozen.pb is damaged: export again'),
    (['NET', 'a.png', '--model-name', 'cifarnet'], 1, 'holds lenet, not cifarnet: add --model lenet')])
def test_what_cannot_be_predicted_is_one_line(words, code, message, digit, trained, exported, here, tmp_path):
    digit.save(str(tmp_path / 'a.png'))
    (tmp_path / 'two.txt').write_text('a\nb\n')
    (tmp_path / 'damaged').mkdir()
    (tmp_path / 'damaged' / 'model.json').write_text('{"net": "lenet"')
    shutil.copytree(str(exported), str(tmp_path / 'cut'))
    (tmp_path / 'cut' / 'frozen.pb').write_bytes((exported / 'frozen.pb').read_bytes()[:-1000])
    places = {'NET': trained / 'pic_lenet', 'EXPORT': exported}
    assert message in here('predict', *[places.get(word, word) for word in words], code=code)


def test_a_reader_that_has_enough_is_no_error(trained, digits):
    process = subprocess.Popen([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), str(digits), '--csv'],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait() == 0


@pytest.mark.parametrize('form', [[], ['--csv'], ['--json']])
def test_where_nothing_can_be_read_each_file_is_named_and_the_exit_code_is_1(form, trained, tmp_path, capsys):
    from slimtune import cli
    paths = [tmp_path / name for name in ('a.jpg', 'b.jpg')]
    for path in paths:
        path.write_bytes(b'no image')
    assert cli.main(['predict', str(trained / 'pic_lenet'), *map(str, paths), *form]) == 1
    printed = capsys.readouterr()
    assert printed.out.count('not an image') == 2 and str(paths[1]) in printed.out
    assert printed.err == 'slimtune: none of the 2 files is an image that can be read\n'


def test_a_folder_without_files_is_an_error(trained, here, tmp_path):
    (tmp_path / 'nothing').mkdir()
    from slimtune import cli
    assert cli.main(['predict', str(trained / 'pic_lenet'), str(tmp_path / 'nothing')]) == 1


def test_a_label_file_of_the_train_folder_has_lost_the_background_already(trained, digit, here, tmp_path):
    """Trained with --labels-offset 1: run.json says so, and the label file beside it holds the names that
    remain."""
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'net'))
    run = json.loads((tmp_path / 'net' / 'run.json').read_text(encoding='utf-8'))
    run['options']['labels_offset'] = 1
    (tmp_path / 'net' / 'run.json').write_text(json.dumps(run), encoding='utf-8')
    (tmp_path / 'all.txt').write_text('background\none\ntwo\nzero\n')
    digit.save(str(tmp_path / 'a.png'))
    expected = predictions_in(here('predict', 'net', 'a.png', '--json'))
    for names in ('net/label.txt', 'all.txt'):
        assert predictions_in(here('predict', 'net', 'a.png', '--json', '--label-path', names)) == expected
    here('export', 'net', '--label-path', 'net/label.txt')
    assert (tmp_path / 'net' / 'export' / 'label.txt').read_text() == 'one\ntwo\nzero\n'
    for names in ('net/label.txt', 'all.txt'):
        words = ['predict', 'net/export', 'a.png', '--json', '--label-path', names, '--labels-offset', 1]
        assert predictions_in(here(*words)) == expected


def test_predict_writes_nothing_into_the_folders_it_reads(trained, exported, digits, here, tmp_path):
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'net'))
    shutil.copytree(str(exported), str(tmp_path / 'export'))
    before = sorted(tmp_path.rglob('*'))
    # Enough of them to be measured.
    many = [path for name in CLASSES for path in sorted((digits / name).iterdir())] * 2
    for net in ('net', 'export'):
        here('predict', net, *many)
    assert sorted(tmp_path.rglob('*')) == before


def test_many_images_are_measured_on_a_sample_of_all_of_them(trained, digits, here, tmp_path, monkeypatch):
    """The first 64 of a folder are often of one class."""
    from slimtune.inference import agreement, engines
    if engines.openvino() is None or engines.choose('openvino', 'auto')[1] != 'bfloat16':
        pytest.skip('this CPU does not compute in bfloat16')
    seen = []
    real = agreement.measure_agreement

    def measure(engine, reference, images, drawn_from):
        seen.append(images)
        return real(engine, reference, images, drawn_from)
    monkeypatch.setattr(agreement, 'measure_agreement', measure)
    monkeypatch.setenv('SLIMTUNE_CACHE', str(tmp_path / 'cache'))
    for n, name in enumerate(CLASSES):
        for copy in range(4):
            shutil.copytree(str(digits / name), str(tmp_path / 'many' / f'{n}_{copy}'))
    printed = here('predict', trained / 'pic_lenet', 'many', '--json')
    assert 'openvino bfloat16 compared with tensorflow float32 on 64 images' in printed
    predicted = {max(row, key=row.get) for row in predictions_in(printed).values()}
    assert predicted == set(CLASSES) and len(seen[0]) == 64
    # a third of the sample from every class, whatever the order of the folders
    assert len(np.unique(seen[0].reshape(64, -1), axis=0)) > 40


def test_the_engine_is_closed_however_the_loop_ends(trained, exported, digits, monkeypatch):
    from slimtune import options
    from slimtune.inference import agreement, predict
    predicted = options.Prediction(checkpoint_path=str(exported))
    net, _ = predict.open_net(predicted, options.Net(), options.RunFile({}), options.Averages.IGNORE)
    paths = [str(path) for path in sorted((digits / 'one').iterdir())]
    closed = []
    monkeypatch.setattr(agreement.CheckedEngine, 'close', lambda engine: closed.append(engine))
    rows = predict.predict(net, ('auto', 'auto'), paths, 4)
    next(rows)
    rows.close()
    assert len(closed) == 1
    with pytest.raises(RuntimeError):
        for _ in predict.predict(net, ('auto', 'auto'), paths, 4):
            raise RuntimeError()
    import gc
    gc.collect()
    assert len(closed) == 2


def test_the_first_prediction_of_an_export_imports_no_tensorflow(exported, digits, tmp_path):
    from slimtune.inference import engines
    if not engines.openvino():
        pytest.skip('OpenVINO is not installed')
    code = ('import sys; from slimtune import cli; code = cli.main(sys.argv[1:]); '
            'assert "tensorflow" not in sys.modules, "imported"; sys.exit(code)')
    many = [str(path) for name in CLASSES for path in sorted((digits / name).iterdir())] * 2
    for paths in (many[:1], many):      # in float32 at once, and measured
        process = subprocess.run(
            [sys.executable, '-c', code, 'predict', str(exported), *paths], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding='utf-8', env=dict(os.environ, SLIMTUNE_CACHE=str(tmp_path)))
        assert process.returncode == 0, process.stderr
        assert process.stdout.count('%  one') == len(paths)
