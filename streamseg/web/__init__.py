"""The browser panel: one page, live preview, and an HTTP API that does all the page does (docs/panel.md).

`server` runs on an event loop of its own (`loop`) and ties the rest together: `address` says where it listens
and who may come, `guard` turns everybody else away, `lobby` bounds the connections, `api` answers in JSON,
`preview` and `webrtc` show the newest frame, `backgrounds` keeps uploaded pictures, which `decoding` decodes
in a process of its own, `page` is the page: panel.html with the other panel files in it.
"""
