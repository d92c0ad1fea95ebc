"""`slimtune convert`, run as a user runs it: folders of real images in, real records out."""
import io
import os
import subprocess
import sys

import pytest
from data_folders import examples, stored, tree
from PIL import Image

from slimtune.datasets import dataset_factory, manifest
from slimtune.images import image_file
from slimtune.runtime import tf

CONSOLE_SCRIPT = os.path.join(os.path.dirname(sys.executable), 'slimtune')


def decoded(encoded):
    """What training sees of a stored image."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.image.decode_jpeg(encoded, channels=3, dct_method='INTEGER_ACCURATE'))


SMALL = {'train/daisy': 4, 'train/rose': 3, 'validation/daisy': 2, 'validation/rose': 1}


# The tutorial

def test_the_tutorials_line_works_in_a_terminal_of_any_language(pic):
    root = pic({'train/正常': 5, 'train/擦花': 4, 'validation/正常': 2, 'validation/擦花': 2})
    before = tree(root)
    ended = subprocess.run(
        [CONSOLE_SCRIPT, 'convert', '-t', 'pic', '--train-shards', '2', '--validation-shards', '2',
         '--num-threads', '2', '--dataset-name', 'guangdong'],
        cwd=str(root.parent), env=dict(os.environ, LC_ALL='C', LANG='C'),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in root.iterdir() if path.is_file()} == {
        'guangdong_train_00000-of-00002.tfrecord', 'guangdong_train_00001-of-00002.tfrecord',
        'guangdong_validation_00000-of-00002.tfrecord', 'guangdong_validation_00001-of-00002.tfrecord',
        'label.txt', 'labels.txt', 'dataset.json'}
    assert (root / 'label.txt').read_bytes() == '擦花\n正常\n'.encode()
    assert (root / 'labels.txt').read_bytes() == '0:擦花\n1:正常\n'.encode()
    assert '13 images' in ended.stdout.decode()
    assert 'slimtune train pic --model' in ended.stdout.decode().splitlines()[-1]
    after = tree(root)
    assert {path: after[path] for path in before} == before, 'the images are never changed'
    dataset = dataset_factory.get_dataset('guangdong', 'train', str(root))
    assert (dataset.num_samples, dataset.class_names, dataset.per_class) == (9, ['擦花', '正常'], [4, 5])


def test_records_have_slims_features_and_the_images_own_bytes(pic, convert):
    root = pic(SMALL)
    convert('-t', root)
    records = examples(root, 'train')
    assert len(records) == 7
    for record in records:
        path = root / record['image/filename'].decode()
        label = path.parent.name
        assert record == {
            'image/encoded': path.read_bytes(), 'image/format': b'jpeg', 'image/height': 16,
            'image/width': 20, 'image/channels': 3, 'image/colorspace': b'RGB',
            'image/filename': f'train/{label}/{path.name}'.encode(),
            'image/class/text': label.encode(), 'image/class/label': ['daisy', 'rose'].index(label)}
    order = [record['image/class/label'] for record in records]
    assert order != sorted(order), 'shuffled'


# Any image

def rgba(image):
    """The left half transparent over black, the right half opaque."""
    image = image.convert('RGBA')
    image.paste((0, 0, 0, 0), (0, 0, 10, 16))
    return image


def rotated(image, form, **more):
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = io.BytesIO()
    image.save(kept, form, exif=exif, **more)
    return kept.getvalue()


def sixteen(image):
    pixels = b''.join(bytes([7, value]) for value in image.convert('L').tobytes())
    grey = Image.frombytes('I;16', image.size, pixels)
    return stored(grey, 'PNG')


#: name: (the file's bytes, kept as they are, what is stored)
ODD = {
    'grey.jpg': (lambda image: stored(image.convert('L'), 'JPEG'), True, 'jpeg'),
    'progressive.jpg': (lambda image: stored(image, 'JPEG', progressive=True), True, 'jpeg'),
    'cmyk.jpg': (lambda image: stored(image.convert('CMYK'), 'JPEG'), True, 'jpeg'),
    'loud.PNG': (lambda image: stored(image, 'PNG'), True, 'png'),
    'really_a_png.jpg': (lambda image: stored(image, 'PNG'), True, 'png'),
    'palette.png': (lambda image: stored(image.quantize(16), 'PNG'), True, 'png'),
    'one_bit.png': (lambda image: stored(image.convert('1'), 'PNG'), True, 'png'),
    'sixteen_bits.png': (sixteen, True, 'png'),
    'opaque_alpha.png': (lambda image: stored(image.convert('RGBA'), 'PNG'), True, 'png'),
    'transparent.png': (lambda image: stored(rgba(image), 'PNG'), False, 'png'),
    'grey_alpha.png': (lambda image: stored(rgba(image).convert('LA'), 'PNG'), False, 'png'),
    'photo.bmp': (lambda image: stored(image.resize((300, 300)), 'BMP'), False, 'png'),
    'icon.bmp': (lambda image: stored(image, 'BMP'), False, 'png'),
    'image.gif': (lambda image: stored(image.quantize(16), 'GIF', save_all=True,
                                       append_images=[image.quantize(4)]), False, 'png'),
    'image.webp': (lambda image: stored(image, 'WEBP'), False, 'jpeg'),
    'image.tif': (lambda image: stored(image, 'TIFF'), False, 'png'),
    'phone.jpg': (lambda image: rotated(image, 'JPEG', quality=95), False, 'jpeg'),
    'phone.tif': (lambda image: rotated(image, 'TIFF'), False, 'png'),
    'phone.webp': (lambda image: rotated(image, 'WEBP', quality=95), False, 'jpeg'),
    'no_end.png': (lambda image: stored(image, 'PNG')[:-12], False, 'png'),
}


def test_training_sees_any_image_as_a_person_does(pic, convert, noise):
    root = pic({'a': 1, 'b': 1})
    for name, (make, _, _) in ODD.items():
        (root / 'a' / name).write_bytes(make(noise(name).resize((80, 64)).resize((20, 16))))
    out = convert('-t', root, '--validation-fraction', '0')
    assert 'Left out' not in out, out
    records = {record['image/filename'].decode()[2:]: record for record in examples(root, 'train')}
    for name, (_, kept, form) in ODD.items():
        data, record = (root / 'a' / name).read_bytes(), records[name]
        assert (record['image/encoded'] == data) == kept, name
        assert record['image/format'].decode() == form, name
        seen = decoded(record['image/encoded'])
        with image_file.open_upright(data) as image:
            expected = image.convert('RGB')
        assert seen.shape == (record['image/height'], record['image/width'], 3), name
        turned = (20, 16) if name.startswith('phone') else (16, 20)
        assert seen.shape[:2] == ((300, 300) if name == 'photo.bmp' else turned)
        exact = kept or form == 'png'
        difference = max(abs(int(a) - b) for a, b in zip(seen.tobytes(), expected.tobytes()))
        assert difference <= (0 if exact else 8), name
        if name in ('transparent.png', 'grey_alpha.png'):
            assert (seen[:, :10] == 255).all(), 'transparent is white'
    high_byte = noise('sixteen_bits.png').resize((80, 64)).resize((20, 16)).convert('L').getpixel((0, 0))
    assert tuple(decoded(records['sixteen_bits.png']['image/encoded'])[0, 0]) == (high_byte,) * 3


def test_grey_images_make_a_set_of_one_channel(pic, convert):
    root = pic({'0': 5, '1': 5}, ending='.png', mode='L')
    convert('-t', root)
    assert manifest.load(str(root)).channels == 1
    dataset = dataset_factory.get_dataset('pic', 'train', str(root))
    assert dataset.channels == 1
    os.remove(str(root / 'dataset.json'))       # moved by hand, without it
    assert dataset_factory.get_dataset('pic', 'train', str(root)).channels == 1


# Classes

def test_an_existing_label_file_fixes_the_order(pic, convert):
    root = pic({'b': 8, 'a': 8, 'new': 8})
    (root / 'label.txt').write_bytes('\ufeffb\n\n  \nvanished\na\n'.encode())
    said = convert('-t', root)
    assert manifest.load(str(root)).classes == ['b', 'vanished', 'a', 'new']
    assert 'New classes' in said and 'no images for classes of the label file: vanished' in said
    assert (root / 'labels.txt').read_text() == '0:b\n1:vanished\n2:a\n3:new\n'
    assert dataset_factory.get_dataset('pic', 'train', str(root)).per_class[1] == 0


def test_a_class_in_validation_only_counts_and_is_said(pic, convert):
    root = pic(dict(SMALL, **{'validation/tulip': 2}))
    said = convert('-t', root)
    assert manifest.load(str(root)).splits['validation'].per_class == [2, 1, 2]
    assert 'no images in train, so that it cannot be learned: tulip' in said


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='names of any bytes')
def test_folders_named_in_gbk_are_read(pic, convert, noise):
    root = pic({'a': 3})
    folder = os.path.join(os.fsencode(str(root)), '正常'.encode('gbk'))
    os.mkdir(folder)
    for n in range(3):
        with open(os.path.join(folder, b'%d.jpg' % n), 'wb') as f:
            f.write(stored(noise(n), 'JPEG'))
    convert('-t', root, '--validation-fraction', '0')
    assert manifest.load(str(root)).classes == ['a', '正常']
    assert '正常/0.jpg'.encode() in {record['image/filename'] for record in examples(root, 'train')}


def test_the_same_image_in_two_classes_or_on_both_sides_is_said(pic, convert):
    root = pic(SMALL)
    sample_image = (root / 'train/daisy/0.jpg').read_bytes()
    (root / 'train/rose/again.jpg').write_bytes(sample_image)
    (root / 'validation/daisy/again.jpg').write_bytes(sample_image)
    said = convert('-t', root)
    assert 'the same image in two classes, 1 times: train/daisy/0.jpg = train/rose/again.jpg' in said
    assert 'the same image in training and validation, 1 times' in said


# Splits and shards

def test_a_folder_of_classes_is_split_the_same_way_every_time(pic, convert, noise):
    root = pic({'a': 60, 'b': 60})
    convert('-t', root)
    held_out = {record['image/filename'] for record in examples(root, 'validation')}
    assert 10 < len(held_out) < 40
    for n in range(20):
        noise('more %d' % n).save(str(root / 'a' / ('more%d.jpg' % n)))
    (root / 'a' / '0.jpg').rename(root / 'a' / 'renamed.jpg')
    convert('-t', root, '--seed', '5')
    again = {record['image/filename'] for record in examples(root, 'validation')}
    unmoved = {name for name in again if b'more' not in name and b'renamed' not in name}
    assert unmoved == held_out - {b'a/0.jpg'}


def test_train_without_validation_is_split_too(pic, convert):
    root = pic({'train/a': 30, 'train/b': 30, 'test/a': 3, 'test/b': 3})
    convert('-t', root)
    splits = manifest.load(str(root)).splits
    assert splits['train'].images + splits['validation'].images == 60 and splits['test'].images == 6
    assert splits['validation'].images > 0


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(pic, convert, tmp_path):
    root = pic({'a': 12, 'b': 13})
    for folder, more in (('one', ['--num-threads', 1]), ('three', ['--num-threads', 3]),
                         ('other', ['--seed', 1])):
        convert('-t', root, '--output-dir', tmp_path / folder, '--train-shards', 3, *more)
    one, three, other = ({os.path.basename(path): digest for path, digest in tree(tmp_path / folder).items()}
                         for folder in ('one', 'three', 'other'))
    assert one == three
    assert set(one) == set(other) and one != other


def test_more_shards_than_images_makes_no_empty_one(pic, convert):
    root = pic(SMALL)
    assert '3 images in validation: 3 shards instead of 5' in convert('-t', root, '--validation-shards', 5)
    assert len(dataset_factory.get_dataset('pic', 'validation', str(root)).data_sources) == 3


def test_an_earlier_runs_shards_are_replaced(pic, convert):
    root = pic(SMALL)
    convert('-t', root, '--train-shards', 4)
    convert('-t', root, '--train-shards', 2)
    assert len(list(root.glob('*train*'))) == 1 + 2, 'the folder train and two shards'
    output = convert('-t', root, '--dataset-name', 'other')
    assert 'other replaces pic' in output and not list(root.glob('pic_*'))


def test_another_data_set_is_not_overwritten(pic, convert, tmp_path):
    convert('-t', pic(SMALL), '--output-dir', tmp_path / 'out')
    before = tree(tmp_path / 'out')
    said = convert('-t', pic(SMALL, 'others'), '--output-dir', tmp_path / 'out', code=1)
    assert 'holds the data set pic' in said
    assert tree(tmp_path / 'out') == before


# Mistakes

@pytest.mark.parametrize('counts, words, said', [
    ({'.': 3}, [], 'no class folders in {pic}: expected {pic}/train/CLASS/*.jpg or {pic}/CLASS/*.jpg, '
                   'found 3 images directly in {pic}'),
    ({'.': 0}, [], 'found no image'),
    ({'a': 3}, [], 'only one class'),
    ({'validation/a': 3, 'test/b': 3}, [], 'no {pic}/train beside {pic}/validation and {pic}/test'),
    ({'train/a': 3, 'train/b': 3, 'val/a': 1, 'validation/a': 1}, [], 'Move the other one away'),
    ({'a': 3, 'b': 3}, ['--output-dir', '{pic}/a/out'], 'among the images'),
    ({'a': 3, 'b': 3}, ['--output-dir', '{pic}/out'], 'among the images'),
    ({'a': 3, 'b': 3}, ['--dataset-name', 'a/b'], '--dataset-name=a/b'),
])
def test_a_mistake_is_one_line_and_nothing_is_written(pic, convert, counts, words, said):
    root = pic(counts)
    before = tree(root)
    words = [word.format(pic=root) for word in words]
    assert said.format(pic=root) in convert('-t', root, *words, code=1)
    assert tree(root) == before


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='needs a limit on the size of files')
def test_a_full_disk_is_one_line_and_nothing_is_written(pic):
    import resource
    root = pic({'a': 30, 'b': 30})
    before = tree(root)
    ended = subprocess.run(
        [CONSOLE_SCRIPT, 'convert', '-t', str(root), '--train-shards', '1'], check=False,
        stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)))
    assert ended.returncode == 1
    assert ended.stderr.decode() == (
        'slimtune: pic_train_00000-of-00001.tfrecord cannot be written: File too large\n')
    assert tree(root) == before


def test_a_folder_that_is_not_there_is_named(convert, tmp_path):
    assert 'no folder' in convert('-t', tmp_path / 'nowhere', code=1)
