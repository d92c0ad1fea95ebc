"""What the module of a published data set says about its archives, and what it reads from them."""
import collections
import io

#: How a data set is published. archives: archives.Archives to fetch; none where the user must bring them. shards:
#: {split: (pattern of slim's file names, how many)}. read: function of ({archive's name: path}), or of the user's folder,
#: that returns Contents. needs: what the user's folder must hold.
Published = collections.namedtuple('Published', 'archives shards read needs')
Published.__new__.__defaults__ = ('',)

#: class_names: by label. splits: {split: [Image, ...]}, in the order of the records.
Contents = collections.namedtuple('Contents', 'class_names splits')

#: label: an integer. name: of its file. read: function that returns the encoded image. features: {key: [values]} of its
#: record, beside those that every record has.
PublishedImage = collections.namedtuple('Image', 'label name read features')
PublishedImage.__new__.__defaults__ = (None,)


def png(planes, size):
    """An image as PNG. planes: the bytes of each channel, one (grey) or three. size: (width, height)."""
    from PIL import Image
    bands = [Image.frombytes('L', size, plane) for plane in planes]
    encoded = io.BytesIO()
    (bands[0] if len(bands) == 1 else Image.merge('RGB', bands)).save(encoded, 'PNG')
    return encoded.getvalue()
