"""Made-up descriptions with the references they are compared with."""

PAIRS = [
    (
        "This sample consists of a T cell, lymphocyte of the thymus. It originates from the blood of a normal female "
        "during adulthood. This cell is associated with signs of low oxygen. Additionally, it involves cell death.",
        "This sample consists of a T cell, lymphocyte of the thymus. It originates from the blood of a normal female "
        "during adulthood. This cell is associated with signs of low oxygen. Additionally, it involves cell death.",
    ),
    (
        "This sample consists of a CD4-positive, alpha-beta T cell. It originates from the lung of a normal individual. "
        "This cell is associated with genes up in interferon response. Additionally, it involves cell death.",
        "This sample consists of a CD8-positive, alpha-beta T cell. It originates from the lung of a male with COVID-19 "
        "during middle age. This cell is associated with cell death. Additionally, it involves genes up in interferon response.",
    ),
    (
        "This sample consists of an astrocyte, star-shaped glial cell of the brain. It originates from the cerebral cortex of",
        "This sample consists of an astrocyte, star-shaped glial cell of the brain. It originates from the cerebral cortex of "
        "a normal individual during the late embryonic stage. This cell is associated with lipid metabolism.",
    ),
    (
        "A monocyte monocyte monocyte (CD14+), seen at 37.5 degrees in 1,000 cells & more; 2-fold, 50% \"up\".",
        "The monocyte (CD16+), seen at 37.0 degrees in 1,000 cells; 2-fold, 40% \"down\".",
    ),
    (
        "This sample consists of a hepatocyte. It originates from the liver of a female with hepatocellular carcinoma.",
        "This sample consists of a Kupffer cell. It originates from the liver of a female with hepatocellular carcinoma.",
    ),
]
