"""Options of a driver as a bench file has them."""

from pnnlab.devices import DeviceOptions

__all__ = ["options_text"]

_UNITS = {
    "_a": "A", "_hz": "Hz", "_m": "m", "_ohm": "ohm", "_rad": "rad", "_s": "s", "_siemens": "S", "_v": "V",
    "_v_per_s": "V/s",
}  # fmt: skip


def options_text(options: DeviceOptions) -> dict[str, object]:
    """Return the options that are set, by the keys of a bench file, with their units: `exposure_s=0.002` is
    `exposure: 0.002 s` there.
    """  # noqa: D205 (one sentence)
    written: dict[str, object] = {}
    plain = options.model_dump(mode="json", exclude_unset=True)
    for name, value in plain.items():
        alias = type(options).model_fields[name].alias or name
        unit = _UNITS.get(name.removeprefix(alias), "")
        written[alias] = _with_unit(value, unit) if unit else value
    return written


def _with_unit(value: object, unit: str) -> object:
    if isinstance(value, list):
        return [_with_unit(item, unit) for item in value]
    return f"{value} {unit}" if isinstance(value, int | float) and not isinstance(value, bool) else value
