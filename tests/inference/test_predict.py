"""`slimtune predict`: any image, any net folder, the same answers as eval's."""
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


def answers(said):
    """{file: {class: probability}} of what --json printed; a bad image's error as text."""
    rows = [json.loads(line) for line in said.splitlines() if line.startswith('{')]
    return {row['file']: row.get('error') or {one['name']: one['probability'] for one in row['classes']} for row in rows}


@pytest.fixture(scope='module')
def digit(digits):
    """One of the digits: a grey Pillow image."""
    return Image.open(str(sorted((digits / 'two').iterdir())[0]))


@pytest.fixture
def predicted(trained, here):
    """predicted(*words): the --json answers of `slimtune predict` with the trained net."""
    return lambda *words: answers(here('predict', trained / 'pic_lenet', '--json', *words))


def test_a_folder_is_answered_name_by_name(trained, digits, slimtune):
    process = slimtune('predict', trained / 'pic_lenet', digits / 'two', '--top-k', 2)
    lines = process.stdout.splitlines()
    files = sorted(str(path) for path in (digits / 'two').iterdir())
    assert lines[0::3] == files
    assert all(line.split()[0].endswith('%') and line.split()[1] in CLASSES for line in lines[1::3] + lines[2::3])
    assert sum(float(line.split()[0][:-1]) > 50 for line in lines[1::3]) > len(files) / 2


def test_csv_and_json_hold_nothing_but_answers(trained, digits, slimtune, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'no image')
    words = ['predict', trained / 'pic_lenet', digits / 'one', 'broken.png']
    table, lines = slimtune(*words + ['--csv']), slimtune(*words + ['--json'])
    by_json = answers(lines.stdout)
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [row['file'] for row in rows] == list(by_json)
    assert len(rows) == 21 and len(lines.stdout.splitlines()) == 21
    for row in rows[:-1]:
        named = {row['class_%d' % n]: float(row['probability_%d' % n]) for n in (1, 2, 3)}
        assert named == pytest.approx(by_json[row['file']], abs=1e-6) and sum(named.values()) == pytest.approx(1, abs=1e-5)
    assert rows[-1]['error'] == by_json['broken.png'] == 'not an image' and rows[-1]['class_1'] == ''


def test_the_same_probabilities_as_evals_whatever_answers(trained, exported, here, tmp_path):
    here('eval', trained / 'pic_lenet', '--eval-dir', 'eval')
    with open(str(tmp_path / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        expected = {str(trained / 'pic' / row['file']): (row['prediction'], float(row['probability'])) for row in csv.DictReader(f)}
    checkpoint = trained / 'pic_lenet' / 'model.ckpt-60.data-00000-of-00001'
    for net in ([trained / 'pic_lenet'], [exported], [checkpoint], ['--checkpoint-path', checkpoint, '--model-name', 'lenet']):
        found = answers(here('predict', '--json', *net + sorted(expected)))
        assert list(found) == sorted(expected)
        for path, (answer, probability) in expected.items():
            assert max(found[path], key=found[path].get) == answer
            assert found[path][answer] == pytest.approx(probability, abs=2e-6)


def test_colour_images_of_any_size_get_one_answer_from_eval_export_and_predict(here, tmp_path):
    """mobilenet at 32 pixels: cropped, resized and scaled in TensorFlow by eval and the encoded graph, by predict in numpy."""
    rng = np.random.RandomState(0)
    for name, mean in (('red', (200, 40, 40)), ('blue', (40, 40, 200))):
        (tmp_path / 'pic' / name).mkdir(parents=True)
        for n in range(6):
            noise = rng.randint(-40, 40, [rng.randint(20, 90), rng.randint(20, 90), 3]) + mean
            Image.fromarray(np.uint8(np.clip(noise, 0, 255))).save(str(tmp_path / 'pic' / name / ('%d.jpg' % n)))
    here('train', 'pic', '--model', 'mobilenet_v1_025', '--train-image-size', 32, '--max-number-of-steps', 3, '--batch-size', 4,
         '--train-dir', 'net', '--trainable-scopes', 'all')
    here('eval', 'net', '--dataset-split-name', 'train')
    assert 'largest difference of a probability' in here('export', 'net')
    with open(str(tmp_path / 'net' / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        expected = {'pic/' + row['file']: (row['prediction'], float(row['probability'])) for row in csv.DictReader(f)}
    for net in ('net', 'net/export'):
        found = answers(here('predict', '--json', net, *sorted(expected)))
        for path, (answer, probability) in expected.items():
            assert found[path][answer] == pytest.approx(probability, abs=1e-4)


def test_every_format_gives_the_same_answer(digit, predicted, tmp_path):
    opaque = digit.convert('RGB')
    opaque.putalpha(255)
    wide = Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
    variants = {'grey.png': digit, 'colour.png': digit.convert('RGB'), 'opaque.png': opaque, 'sixteen.png': wide,
                'greyalpha.png': digit.convert('LA'), 'palette.gif': digit, 'windows.bmp': digit.convert('RGB'),
                'scan.tiff': digit, 'UPPER.PNG': digit, 'wrong_name.jpg': None}
    for name, image in variants.items():
        if image:
            image.save(name if os.path.isabs(name) else str(tmp_path / name))
    shutil.copy(str(tmp_path / 'grey.png'), str(tmp_path / 'wrong_name.jpg'))
    digit.convert('RGB').save(str(tmp_path / 'web.webp'), lossless=True)
    found = predicted(*sorted(variants) + ['web.webp'])
    assert len(found) == 11
    for name, answer in found.items():
        assert answer == pytest.approx(found['grey.png'], abs=1e-5), name


def test_lossy_images_get_nearly_the_same_answer(digit, predicted, tmp_path):
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


def test_a_bad_image_is_a_line_in_the_answer_not_the_end_of_it(digit, trained, here, tmp_path):
    digit.save(str(tmp_path / 'good.png'))
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'good.png').read_bytes()[:150])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_bytes(b'no image')
    said = here('predict', trained / 'pic_lenet', 'cut.png', 'empty.jpg', 'text.jpg', 'good.png', '--batch-size', 2)
    assert 'cut.png\n  cannot be read: ' in said
    assert 'empty.jpg\n  cannot be read: empty file' in said and 'text.jpg\n  cannot be read: not an image' in said
    assert said.index('good.png') > said.index('text.jpg') and said.count('%  ') == 3


def test_folders_are_walked_without_the_systems_own_files(digit, predicted, tmp_path):
    for name in ('box/a.png', 'box/deep/er/b.png', 'box/.hidden.png', 'box/Thumbs.db', 'box/图片.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        digit.save(str(tmp_path / name), 'PNG')
    (tmp_path / 'nothing').mkdir()
    assert list(predicted('box', 'nothing')) == ['box/a.png', 'box/deep/er/b.png', 'box/图片.png']


def test_a_bare_checkpoint_takes_its_names_from_a_label_file(digit, trained, here, tmp_path):
    digit.save(str(tmp_path / 'a.png'))
    for ending in ('.data-00000-of-00001', '.index'):
        shutil.copy(str(trained / 'pic_lenet' / 'model.ckpt-60') + ending, str(tmp_path / ('bare.ckpt' + ending)))
    (tmp_path / 'label.txt').write_text('background\neins\nzwei\nnull\n')
    (tmp_path / 'labels.txt').write_text('1:zwei\n0:eins\n2:null\n')
    words = ['predict', '--json', '--checkpoint_path=bare.ckpt', '--model_name=lenet', 'a.png']
    unnamed = answers(here(*words))['a.png']
    assert set(unnamed) == {'class 0', 'class 1', 'class 2'}
    for more in (['--label_path=label.txt', '--labels_offset=1'], ['--label_path=labels.txt']):
        named = answers(here(*words + more))['a.png']
        assert [named[name] for name in ('eins', 'zwei', 'null')] == [unnamed['class %d' % n] for n in range(3)]
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
def test_what_cannot_be_answered_is_one_line(words, code, message, digit, trained, exported, here, tmp_path):
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


def test_a_few_images_are_answered_in_float32_at_once(exported, digits, slimtune):
    """What bfloat16 saves on them, a second engine for close decisions would cost."""
    with open(str(exported / 'model.json'), encoding='utf-8') as f:
        if 'openvino bfloat16' not in json.load(f)['proofs']:
            pytest.skip('this CPU does not compute in bfloat16')
    one = sorted((digits / 'two').iterdir())[0]
    few, many = slimtune('predict', exported, one), slimtune('predict', exported, digits / 'two')
    assert 'openvino bfloat16 against' not in few.stderr and 'openvino float32 against' in few.stderr
    assert 'openvino bfloat16 against' in many.stderr
