"""Runs inside a notebook's kernel after its last cell: moves every control of every explorer, and reports as JSON.

A fault in an explorer lands in the widget, never in a cell, so neither papermill nor nbval would see it.
"""

import json
import sys


def drive_all():
    """Return a record for each explorer: its alternative text, errors, idle controls and seconds per redraw."""
    import ipywidgets

    widgets = sys.modules.get("utils.widgets")
    explorers = sorted(widgets.explorers, key=lambda explorer: explorer.alt) if widgets else []

    def stops(control):
        if isinstance(control, ipywidgets.Text | ipywidgets.Textarea):
            return ["", " ", "a", "zebra 123", "é∂ß", "x" * 60, control.value]
        if hasattr(control, "options"):
            values = [value for _, value in control._options_full]
            return [*values, values[0]]
        if isinstance(control, ipywidgets.Checkbox | ipywidgets.ToggleButton):
            return [not control.value, control.value]
        if hasattr(control, "min"):
            return [control.min, control.max, (control.min + control.max) // 2, control.min]
        return []

    def drive(explorer):
        idle = []
        explorer.seconds.clear()
        for name, control in explorer.controls.items():
            pictures, first = {explorer.picture.value}, getattr(control, "value", None)
            for value in stops(control):
                try:
                    control.value = value
                except Exception as error:
                    explorer.errors.append(error)
                pictures.add(explorer.picture.value)
            for _ in range(3 if isinstance(control, ipywidgets.Button) else 0):
                control.click()
                pictures.add(explorer.picture.value)
            if not isinstance(control, ipywidgets.Button):
                control.value = first  # at its end, it might leave the next control nothing to change
            if len(pictures) == 1:
                idle.append(name)
        errors = [f"{type(error).__name__}: {error}" for error in explorer.errors]
        return {"alt": explorer.alt, "errors": errors, "idle": idle, "seconds": list(explorer.seconds)}

    return [drive(explorer) for explorer in explorers]


print(json.dumps(drive_all()))
