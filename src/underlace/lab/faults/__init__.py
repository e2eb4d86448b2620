"""Faults that can be put into a running lab, on purpose: each with an undo, and a proof that it took effect.

    cli ──► work ──► registry ──► one module per fault or family (`FAULTS` of each)
             │  └──► pace: an agent that shall not mend for a while
             └─────► ledger: what is broken now, in the lab's directory

A fault is what an operator or a benchmark would call one: `base.Fault`.
"""
