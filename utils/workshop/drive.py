"""Runs inside a notebook's kernel after its last cell: moves every control of every explorer, and reports as JSON.

A fault in an explorer lands in the widget, never in a cell, so neither papermill nor nbval would see it.
"""

import json
import sys

SEVERAL = 12  # a slider is put at each of its values if it has so few steps, else at about so many places


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
            return [False, True, False]
        if hasattr(control, "min"):
            steps = round((control.max - control.min) / (control.step or 1))
            places = range(steps + 1) if steps <= SEVERAL else [steps * i // SEVERAL for i in range(SEVERAL + 1)]
            return [*(control.min + place * (control.step or 1) for place in places), control.max, control.min]
        return []

    def put(explorer, control, value):
        try:
            control.value = value
        except Exception as error:
            explorer.errors.append(error)

    def drive(explorer):
        idle = []
        explorer.seconds.clear()
        for name, control in explorer.controls.items():
            pictures, first = {explorer.picture.value}, getattr(control, "value", None)
            for value in stops(control):
                put(explorer, control, value)
                pictures.add(explorer.picture.value)
            for _ in range(3 if isinstance(control, ipywidgets.Button) else 0):
                control.click()
                pictures.add(explorer.picture.value)
            if not isinstance(control, ipywidgets.Button):
                control.value = first  # at its end, it might leave the next control nothing to change
            if len(pictures) == 1:
                idle.append(name)
        several = [(control, stops(control), control.value) for control in explorer.controls.values() if stops(control)]
        for end in (0, -2):  # all at their first stop, then all at their last: some faults need two controls
            for control, values, _ in several:
                put(explorer, control, values[end])
        for control, _, first in several:
            control.value = first
        errors = dict.fromkeys(f"{type(error).__name__}: {error}" for error in explorer.errors)  # each once
        return {"alt": explorer.alt, "errors": [*errors], "idle": idle, "seconds": list(explorer.seconds)}

    return [drive(explorer) for explorer in explorers]


print(json.dumps(drive_all()))
