-- Whether anything but demo services is watched here: a demo must never mix with that.
SELECT EXISTS (SELECT FROM services WHERE NOT demo)
