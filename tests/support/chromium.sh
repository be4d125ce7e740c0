#!/bin/bash
# Starts $CHROMIUM without the pages of its address bar's suggestions, as no test types an address. They are loaded for
# every window, in a separate process, which takes more than a second of a processor. Of several lists of disabled
# features only the last one counts, so these are added to Playwright's.
features=WebUIOmniboxPopup,WebUIOmniboxAimPopup
exec "$CHROMIUM" "${@/#--disable-features=/--disable-features=$features,}"
