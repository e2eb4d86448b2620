"""A fabric in network namespaces: FRR, real agents, a real controller, hosts and upstream routers. Never a real one.

    intent directory ──topology──► holder ──► one namespace pair per device, one per host
                                     │
          wiring (veth) · frr · host addresses · routers · control (controller) · agents (one parent, forked children)
                                     │
    intent directory ──expect──► the flow matrix ──flows──► real connections from inside the hosts ──► verdict

Nothing is changed in the namespaces of whoever starts it: every link is made in the namespace of the lab's holder.
"""
