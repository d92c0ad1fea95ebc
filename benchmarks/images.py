"""The images of the rows: the real flowers, repeated or enlarged."""
import os

from PIL import Image


def some(data, count, split='train'):
    """The paths of `count` flowers of all classes, repeated where there are fewer."""
    source = os.path.join(data, 'flowers', split)
    every = sorted(os.path.join(path, name) for path, _, names in os.walk(source) for name in names)
    step = max(1, len(every) // count)
    return [every[number * step % len(every)] for number in range(count)]


def repeated(data, place, count):
    """Makes PLACE/train with `count` flowers in class folders, each a file of its own, and returns PLACE."""
    if not os.path.isdir(place):
        for number, path in enumerate(some(data, count)):
            target = os.path.join(place, 'train', os.path.basename(os.path.dirname(path)))
            os.makedirs(target, exist_ok=True)
            with open(path, 'rb') as f:
                encoded = f.read()
            # Decoders ignore what follows the end of a JPEG: the copies differ as files, not as images.
            with open(os.path.join(target, f'{number:05d}_{os.path.basename(path)}'), 'wb') as f:
                f.write(encoded + str(number).encode())
    return place


def enlarged(data, place, count, size=(2560, 1920)):
    """Makes PLACE with `count` validation flowers, enlarged to this size, and returns their paths."""
    os.makedirs(place, exist_ok=True)
    for number, path in enumerate(some(data, count, 'validation')):
        image = Image.open(path).convert('RGB').resize(size, Image.BICUBIC)
        image.save(os.path.join(place, f'{number:03d}.jpg'), quality=92)
    return sorted(os.path.join(place, name) for name in os.listdir(place))
