"""An instrument on scpipy, a SCPI server that nobody here wrote: `python scpipy_server.py PORT`."""

import asyncio
import sys

from scpipy.server import Router, Server
from scpipy.shared.errors import DefaultScpiErrors, ScpiException

router = Router()
level = {"v": 0.0}


@router.register("*IDN?")
def identity(context: object) -> str:
    return "ACME,DAC8,1,0"


@router.register("SOURce:VOLTage <value>")
def set_level(context: object, value: str) -> None:
    try:
        volts = float(value)
    except ValueError:
        raise ScpiException(DefaultScpiErrors.DATA_TYPE_ERROR.value) from None
    if not -10 <= volts <= 10:
        raise ScpiException(DefaultScpiErrors.DATA_OUT_OF_RANGE.value)
    level["v"] = volts


@router.register("SOURce:VOLTage?")
def get_level(context: object) -> float:
    return level["v"]


@router.register("SLOW?")
async def slow(context: object) -> int:
    await asyncio.sleep(0.4)
    return 7


server = Server("127.0.0.1", int(sys.argv[1]))
server.include_router(router)
server.run()
