-- Whether this installation has services other than those of the demo: the demo refuses to add its services to such an installation.
SELECT EXISTS (SELECT FROM services WHERE NOT demo)
