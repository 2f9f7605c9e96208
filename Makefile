# Deep Learning by Hand. The two commands: `make lab` opens the course, `make test` proves it.
PYTHON ?= python3
NB ?=
SEEDS ?= 10
SET ?=
SCHEDULER ?=
WORKERS ?= 2
PART ?=
ALL ?=
TIMEOUT ?= 900
TORCH ?= auto
LAYER ?= all
SEED ?= 1
MYSTERY ?=
HINT ?=
CHECK ?=
DIR ?=
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint requirements.lock
AS_ROOT := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)
WORKSHOP := $(BIN)/python -m utils.workshop
# pip would compile one file after the other; all cores together take half as long. What fails compiles when imported.
COMPILE := -@$(BIN)/python -c 'import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0)'

CPU_INDEX := https://download.pytorch.org/whl/cpu
LOCKED_TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' requirements.lock 2>/dev/null)

export HERE := $(CURDIR)
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH
present grade: export OMP_NUM_THREADS = 1

.PHONY: help settled lab test prove slides present class grade update progress mystery site new quick run bench figures test-browser clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

lab: .venv/lab  ## open the course in JupyterLab
	$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.root_dir="$$HERE" notebooks/00_start_here.ipynb

test: .venv/test  ## prove it, with the network cut; of lessons proved before, two again; ALL=1: all; NB=10_cnn; PART=2/3
	$(WORKSHOP) test $(NB) --workers $(WORKERS) $(if $(PART),--part $(PART)) $(if $(ALL),--everything)

prove: .venv/test  ## prove in full every lesson that changed (or NB=10_cnn), and write down that it is proved
	$(WORKSHOP) prove $(NB) --workers $(WORKERS)

slides: .venv/teach  ## reveal.js decks of all lessons (or NB=10_cnn) into build/slides; LAYER=core: for 45 minutes each
	$(BIN)/python -m utils.teach.slides build $(NB) --layer '$(LAYER)'

present: .venv/teach  ## a deck with a running kernel: make present NB=10_cnn
	@test -n "$(NB)" || { echo "Say which notebook, as in: make present NB=10_cnn"; exit 2; }
	$(BIN)/python -m utils.teach.slides present $(NB)

class: .venv/teach  ## an nbgrader course of all lessons (or NB=10_cnn) into build/class; NB=10_cnn MYSTERY=3: a hunt
	$(BIN)/python -m utils.teach.classroom build $(NB) $(if $(MYSTERY),--mystery $(MYSTERY))

grade: .venv/teach  ## grade what was handed in under build/class/submitted, count what the class got wrong, export the grades
	$(BIN)/python -m utils.teach.classroom grade $(NB)
	@$(BIN)/python -m utils.teach.beliefs
	@$(BIN)/python -m utils.teach.exports

update: .venv/lab  ## take the newest lessons; your answers go into them, and copies of what you changed are kept
	$(BIN)/python -m utils.workshop.update

progress: .venv/workshop  ## which exercises and mysteries are done, from the notebooks as saved (or DIR=, a copy elsewhere)
	@$(WORKSHOP) progress $(if $(DIR),'$(DIR)')

mystery: .venv/workshop  ## a bug to find: make mystery NB=10_cnn SEED=1; then HINT=1, 2, 3, and CHECK=1
	@test -n "$(NB)" || { echo "Say of which lesson, as in: make mystery NB=10_cnn"; exit 2; }
	@$(WORKSHOP) mystery $(NB) --seed $(SEED) $(if $(HINT),--hint $(HINT)) $(if $(CHECK),--check)

site: .venv/teach  ## the course as static pages into build/site; their explorers answer
	$(BIN)/python -m utils.teach.site

new: .venv/workshop  ## begin a lesson from the template: make new NB=22_transformers
	@test -n "$(NB)" || { echo "Say how it is to be called, as in: make new NB=22_transformers"; exit 2; }
	$(WORKSHOP) new $(NB)

quick: .venv/test  ## a writer's inner loop, as in NB=10_cnn: form, defaults, second seed, widgets, exercises, other knobs
	@test -n "$(NB)" || { echo "Say which notebook, as in: make quick NB=10_cnn"; exit 2; }
	$(WORKSHOP) quick $(NB) --workers $(WORKERS)

run: .venv/workshop  ## execute the notebooks that changed, in place (or NB=10_cnn)
	$(WORKSHOP) run $(NB)

bench: .venv/workshop  ## seconds, memory and redraw time of each notebook alone; the table goes into the README
	$(WORKSHOP) bench $(NB)

sweep: .venv/workshop  ## every claim over 10 seeds; NB=, SEEDS=, SET="EPOCHS=1,2", WORKERS=, TIMEOUT=, SCHEDULER=tcp://...
	$(WORKSHOP) sweep run $(NB) --seeds $(SEEDS) --timeout $(TIMEOUT) $(foreach knob,$(SET),--set '$(knob)') \
		$(if $(SCHEDULER),--scheduler $(SCHEDULER),--workers $(WORKERS))

figures: .venv/workshop  ## write every stored picture to build/figures
	$(WORKSHOP) figures $(NB)

test-browser: .venv/test  ## every notebook, site page and slide in a real browser
	$(WORKSHOP) browser $(NB) --workers $(WORKERS)

clean:  ## remove what these commands made
	rm -rf .venv build

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1)." \
		"Name another one, as in: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' lacks the module venv. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

# An environment that was moved, copied or half made would fail later, or use the files of another folder.
settled: .venv/pyvenv.cfg
	@if [ "$(OS)" != Windows_NT ] && grep -q '^command = ' .venv/pyvenv.cfg && ! grep -qF " $$HERE/.venv" .venv/pyvenv.cfg; then \
		echo "The .venv here was made for another folder. \`make clean\` removes it; then this command sets up anew."; exit 1; fi
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { \
		echo "The .venv here has no Python with pip. \`make clean\` removes it; then this command sets up anew."; exit 1; }

# On Linux PyPI's torch brings gigabytes of CUDA. Without an NVIDIA card PyTorch's own index of small builds is asked
# first, for seconds; where it does not answer, pip finds torch where it finds the rest. TORCH=cpu or cuda decides.
# The lock holds exact versions, used as constraints; the stamps let a second call start at once.
.venv/lab: .venv/pyvenv.cfg pyproject.toml requirements.lock | settled
	@case "$(TORCH)" in auto|cpu|cuda) ;; *) echo "TORCH was '$(TORCH)'; accepted are auto, cpu and cuda."; exit 1;; esac
	@echo "Setting up, once: some 130 packages, for a minute or two ..."
	@if [ "$(TORCH)" = cpu ] || { [ "$(TORCH)" = auto ] && [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; }; \
	then $(BIN)/python -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))' || \
		$(PIP) --timeout 5 --retries 0 --no-deps --index-url $(CPU_INDEX) $(or $(LOCKED_TORCH),torch) 2>/dev/null || true; fi
	$(PIP) --editable .
	$(BIN)/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements" 2>/dev/null
	$(COMPILE)
	touch $@

.venv/teach: .venv/lab | settled
	$(PIP) --editable '.[teach]'
	$(COMPILE)
	touch $@

.venv/workshop: .venv/lab | settled
	$(PIP) --editable '.[workshop]'
	$(COMPILE)
	touch $@

.venv/test: .venv/teach .venv/workshop | settled
	$(PIP) --editable '.[teach,workshop,test]'
	$(COMPILE)
	touch $@
