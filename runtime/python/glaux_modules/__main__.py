import sys

from glaux_modules import main

sys.exit(main(sys.argv[1:]))
