"""Infotext, the settings that travel inside a picture: written as A1111 does, read from anybody."""

from engine.generate.infotext.picture_info import Infotext, ModelUsed
from engine.generate.infotext.read import parse_infotext
from engine.generate.infotext.write import describe_picture, write_infotext

__all__ = ["Infotext", "ModelUsed", "describe_picture", "parse_infotext", "write_infotext"]
