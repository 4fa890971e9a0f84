"""The commands, by subject. `alsobought.cli` imports a module only when one of its commands is called.

stack       `up`, `broker run`, `worker`, `recommender` and `topics`; rights: `topics rights`
serve       `serve`; token: `token`
publish     `publish` and `forget`; drain: `drain`
lists       `related`, `watch` and `export`
recommend   `recommend`, `bestsellers` and `experiments`
inspect     `inspect` and `dead-letters`
status      `status`; doctor: `doctor`; settings: `settings`
checkpoint  `checkpoint`; rebuild: `rebuild`
compare     `compare`; copy: `copy`
train       `train`; evaluate: `evaluate`
"""
