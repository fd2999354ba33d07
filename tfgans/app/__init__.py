"""A page for the browser that offers all uses of a trained model: `tools/app.py`.

It needs Gradio: `pip install "tfgans[app]"`. The inputs of each use (`tfgans.use`) decide which
controls appear, so a new model needs no line here.

  page.py      the whole page, and its server
  controls.py  inputs of a use as controls, and their values as words for `use.call`
  drawings.py  pictures that a person uploads or draws
  results.py   files that a use writes, as pictures, sounds and texts
  spaces.py    walks, mixed styles, edits and projection
  runs.py      curves and samples of a run
"""
