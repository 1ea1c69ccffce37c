"""What of Python's standard library and of the packages no builder imports, by patterns of names.

``tests/container/test_image.py`` holds that nothing which is imported is named here.
"""

import re

_NAMES = """
    EXTERNALLY-MANAGED __phello__ __pycache__ architecture.rst asyncio curses dbm dist-packages distutils ensurepip
    idlelib lib2to3 mime msilib multiprocessing pip pydoc_data site-packages sqlite3 test tests tkinter turtledemo
    unittest venv wsgiref xml xmlrpc zoneinfo
    __hello__.py _aix.py _aix_support.py _bootsubprocess.py _distutils_system_mod.py _markupbase.py _osx_support.py
    _pydecimal.py _pyio.py aifc.py antigravity.py asynchat.py asyncore.py bdb.py cProfile.py cgi.py cgitb.py chunk.py
    cmd.py code.py codeop.py colorsys.py compileall.py config.py cookiejar.py cookies.py crypt.py decimal.py difflib.py
    doctest.py filecmp.py fileinput.py fractions.py ftplib.py glob.py graphlib.py handlers.py imaplib.py imghdr.py
    imp.py mailbox.py mailcap.py modulefinder.py netrc.py nntplib.py ntpath.py nturl2path.py numbers.py optparse.py
    pdb.py pickletools.py pipes.py plistlib.py poplib.py profile.py pstats.py pty.py pyclbr.py pydoc.py robotparser.py
    sched.py server.py shelve.py smtpd.py smtplib.py sndhdr.py socketserver.py sre_compile.py sre_constants.py
    sre_parse.py statistics.py sunau.py symtable.py sysconfig.py tabnanny.py telnetlib.py this.py timeit.py tool.py
    trace.py tty.py turtle.py uu.py uuid.py wave.py webbrowser.py wintypes.py xdrlib.py zipapp.py
    """
NAMES = frozenset(_NAMES.split())
MODULES = re.compile(
    r"_(test|tkinter|sqlite3|curses|crypt|dbm|gdbm|xx|codecs_|decimal|asyncio|zoneinfo|lsprof|multi|uuid|posixshmem)"
    r"|nis|ossaudiodev|audioop|readline|xxlimited"
)
CODECS = re.compile(r"(cp(?!437)|mac_|iso8859_|iso2022|koi8|big5|euc_|gb|shift_|johab|hz|hp_|kz1048|ptcp154|tis_620|palmos)\w*\.py")
"""Codecs of single countries. cp437 stays, for names in zip files; everything else is UTF-8."""
PACKAGES = (
    "*/tests", "urllib3/contrib/emscripten", "backports/zstd/_cffi", "**/*.pyi", "*.dist-info/RECORD", "isal/isa-l/[!L]*",
)  # fmt: skip
"""For other interpreters, for type checkers, and what pip would remove files by."""
