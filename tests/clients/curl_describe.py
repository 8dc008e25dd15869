"""DESCRIBE by libcurl with Digest; prints the last status. The curl program itself only sends
OPTIONS, which needs no account.

curl_describe.py URL USER PASSWORD
"""

import ctypes
import sys

# Names and numbers are those of curl.h.
URL, USERNAME, PASSWORD, STREAM_URI = 10002, 10173, 10174, 10191
HTTPAUTH, RTSP_REQUEST, TIMEOUT = 107, 189, 13
WRITEFUNCTION, RESPONSE_CODE = 20011, 0x200002
AUTH_DIGEST, REQUEST_DESCRIBE = 2, 2

url, user, password = (argument.encode() for argument in sys.argv[1:4])
curl = ctypes.CDLL("libcurl.so.4")
curl.curl_easy_init.restype = ctypes.c_void_p
handle = ctypes.c_void_p(curl.curl_easy_init())
swallow = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p
)(lambda _data, size, count, _to: size * count)
for option, value in [
    (URL, ctypes.c_char_p(url)),
    (STREAM_URI, ctypes.c_char_p(url)),
    (USERNAME, ctypes.c_char_p(user)),
    (PASSWORD, ctypes.c_char_p(password)),
    (HTTPAUTH, ctypes.c_long(AUTH_DIGEST)),
    (RTSP_REQUEST, ctypes.c_long(REQUEST_DESCRIBE)),
    (TIMEOUT, ctypes.c_long(30)),
    (WRITEFUNCTION, swallow),
]:
    assert curl.curl_easy_setopt(handle, ctypes.c_int(option), value) == 0, option
assert curl.curl_easy_perform(handle) == 0
status = ctypes.c_long()
curl.curl_easy_getinfo(handle, ctypes.c_int(RESPONSE_CODE), ctypes.byref(status))
print(status.value)
